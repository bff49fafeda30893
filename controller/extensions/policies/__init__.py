"""What the secrets and the configuration of an extension need next: pure decisions from facts."""
