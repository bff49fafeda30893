"""TriggerRules: their feeds, the way of an event to the decisions, their status."""
