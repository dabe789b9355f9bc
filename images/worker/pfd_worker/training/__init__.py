"""Training by deepmd-kit or SevenNet as a child process: fine-tuning, and students (deepmd-kit only)."""
