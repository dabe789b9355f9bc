"""Model families: what a checkpoint can do, whatever program made it."""
