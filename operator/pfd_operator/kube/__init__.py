"""All Kubernetes I/O: client, informers, and writing what the planner decided."""
