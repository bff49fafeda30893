"""Conditions of a rule and shares of CPU: pure decisions from facts."""
