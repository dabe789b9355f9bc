"""The report of a job: what a person reads to decide whether the model is good, and the same numbers as JSON."""
