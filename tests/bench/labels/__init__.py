"""How well the example's labels are converged: `make bench-labels`."""
