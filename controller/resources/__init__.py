"""The three kinds as pydantic models: the one source of the CRDs."""
