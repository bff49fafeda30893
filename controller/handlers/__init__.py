"""kopf, and nothing but kopf: tell the operator what the API server says."""
