"""ExtensionApps: the rotation of their secrets, their configuration, their status."""
