"""The arbiter of a channel: which cue starts which commercial, when, and what became of it."""
