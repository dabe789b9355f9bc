"""One round of training inside a train stage: what fine-tuning and distilling share, and where they differ."""
