"""Feeds turn the wire into `Event`s."""
