"""The commands of `twitch-operator`, one file each: wiring only."""
