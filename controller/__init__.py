"""twitch-operator: playout cues in, Twitch commercials out."""
