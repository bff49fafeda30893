"""A simulated OAuth2 provider: introspection, discovery and JWKS, on loopback."""

from controller.sandbox.oauth.provider import Seen
from controller.sandbox.oauth.server import OAuthSimulator
from controller.sandbox.oauth.tokens import Client, TokenOrder

__all__ = ["Client", "OAuthSimulator", "Seen", "TokenOrder"]
