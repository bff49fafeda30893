"""Starting commercials on a channel."""
