"""kopf, and nothing but kopf: tell the engine what the API server says."""
