"""Holds what runs: channels, rules and feeds in use; level-triggered."""
