"""What the operator and a stage container say to each other. Pure data: no I/O, clock, Kubernetes or numerics."""
