"""The extension backend service: /send/ and /setup/, a process of its own."""
