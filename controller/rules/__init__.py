"""Pure: match events, decide what they lead to. No I/O, no clock, no randomness."""
