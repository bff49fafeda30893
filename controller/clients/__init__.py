"""The only code that calls out: Kubernetes and Twitch."""
