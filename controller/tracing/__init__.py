"""What ties together all that happens for one cue: an identity in the log, and traces."""
