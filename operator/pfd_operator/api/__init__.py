"""What users write and read: the custom resources as pydantic models, from which the CRDs are generated."""
