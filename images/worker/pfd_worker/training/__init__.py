"""Fine-tuning by deepmd-kit as a child process."""
