"""What the operator and a stage container say to each other. Pure data: no I/O, no clock, no Kubernetes, no numerics."""
