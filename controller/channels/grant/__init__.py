"""The OAuth grant of a TwitchChannel: its tokens and the Secret they are kept in."""
