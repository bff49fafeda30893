"""Actions turn a decision into a call, and its answer into an outcome."""
