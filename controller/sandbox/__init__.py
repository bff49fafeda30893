"""A real control plane, and simulated Twitch and PubNub, on loopback."""
