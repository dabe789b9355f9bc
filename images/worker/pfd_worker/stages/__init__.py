"""A stage of a job each: what runs in its pod."""
