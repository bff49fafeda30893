"""SCTE-35: splice information sections → what they mean for an ad break. Pure."""
