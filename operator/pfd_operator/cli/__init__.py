"""kubectl-pfd: what a job does and found, from its status alone."""
