"""A worker that does nothing; it stands in the place of the real one."""
