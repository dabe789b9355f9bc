"""The operator's crash safety against a real API server, Job controller and garbage collector: `make chaos`."""
