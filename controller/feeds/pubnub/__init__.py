"""PubNub as a feed."""
