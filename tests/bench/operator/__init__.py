"""What the operator costs at scale, against a real API server: `make bench-operator`."""
