"""Pure: when to refresh, validate and wait; conditions from facts."""
