"""The keys that sign the provider's JWTs (RS256), and the set of them that it publishes."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import rsa
from jwt import PyJWS
from jwt.algorithms import RSAAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["SigningKeys"]

_ALGORITHM = "RS256"
_JWS = PyJWS()  # not PyJWT: it checks claims, and a simulator also issues odd ones


class SigningKeys:
    """The newest key signs; the published set has it and those kept. A key is made when needed."""

    def __init__(self) -> None:
        self._keys: dict[str, RSAPrivateKey] = {}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A JWT with these claims, whatever they are."""
        if not self._keys:
            self._make()
        kid, key = list(self._keys.items())[-1]
        headers = {"kid": kid, "typ": "at+jwt"}
        payload = json.dumps(claims).encode()
        return _JWS.encode(payload, key, algorithm=_ALGORITHM, headers=headers)

    def published(self) -> dict[str, Any]:
        """The key set (RFC 7517), newest last."""
        if not self._keys:
            self._make()
        marks = {"alg": _ALGORITHM, "use": "sig"}
        return {
            "keys": [
                RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | marks | {"kid": kid}
                for kid, key in self._keys.items()
            ]
        }

    def rotate(self, *, keep: bool = True) -> str:
        """Sign with a new key from now on.

        Args:
            keep: Go on publishing the former ones; else what they signed is good no more.

        Returns:
            The new key's id.
        """
        if not keep:
            self._keys.clear()
        return self._make()

    def _make(self) -> str:
        kid = secrets.token_hex(4)
        self._keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return kid
