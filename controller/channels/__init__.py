"""TwitchChannels: what runs for each, its commercials, and what is written back to it."""
