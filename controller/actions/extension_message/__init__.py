"""Messages to the front ends of an extension."""
