"""kubectl-pfd: what a job does and found, from its status alone, and its files, out of its object store."""
