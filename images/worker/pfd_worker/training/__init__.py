"""Training by deepmd-kit as a child process: fine-tuning and students."""
