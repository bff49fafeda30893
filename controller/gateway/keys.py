"""The public keys of an issuer (RFC 7517), and which of them a token was signed with.

Whoever may write a resource chooses the issuer, and so the keys: nothing is done with one before
its size is known to be harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ALGORITHMS", "SigningKey", "find_key", "read_keys"]

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

ALGORITHMS = frozenset((*_RSA, "ES256", "ES384", "ES512", "EdDSA"))
"""Those with a public key: a token that is signed with a shared one is nobody's."""

_MOST_KEYS = 100
_LONGEST_FIELD = 2048  # characters: an RSA modulus of 8192 bits has 1366
_RSA_BITS = range(2048, 8192 + 1)
_RSA_EXPONENTS = range(3, 2**32, 2)  # a check costs in proportion to the bits of it


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that an issuer signs with.

    Attributes:
        name: Its key id; "" where it has none.
        algorithms: That it may be used with.
        key: The public key itself.
    """

    name: str
    algorithms: tuple[str, ...]
    key: Any


def read_keys(entries: Iterable[object]) -> tuple[SigningKey, ...]:
    """The usable ones of a JSON Web Key Set, the first hundred entries of it."""
    found = (_read(entry) for _, entry in zip(range(_MOST_KEYS), entries, strict=False))
    return tuple(key for key in found if key is not None)


def _read(entry: object) -> SigningKey | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or not _is_harmless(entry):
        return None
    try:
        read = jwt.PyJWK(entry)
    except Exception:  # noqa: BLE001 - any odd key: the others are good all the same
        return None
    if read.algorithm_name not in ALGORITHMS:
        return None
    if isinstance(read.key, RSAPublicKey) and not _is_cheap(read.key):
        return None
    # An RSA key that does not say is good for all that RSA can do.
    several = entry.get("kty") == "RSA" and not entry.get("alg")
    return SigningKey(
        str(entry.get("kid", "")), _RSA if several else (read.algorithm_name,), read.key
    )


def _is_harmless(entry: dict[str, object]) -> bool:
    """Whether it can be read at once: to find the factors of a private key takes minutes."""
    sizes = (len(value) for value in entry.values() if isinstance(value, str))
    # Certificates lie in lists, which are not looked at.
    return "d" not in entry and max(sizes, default=0) <= _LONGEST_FIELD


def _is_cheap(key: RSAPublicKey) -> bool:
    """Whether a signature is checked with it in well under a millisecond."""
    return key.key_size in _RSA_BITS and key.public_numbers().e in _RSA_EXPONENTS


def find_key(keys: Iterable[SigningKey], name: str, algorithm: str) -> SigningKey | None:
    """The key of a token.

    Args:
        keys: Of the issuer.
        name: The token's key id; "" where it has none: then there must be no choice.
        algorithm: That the token is signed with.
    """
    fitting = [key for key in keys if algorithm in key.algorithms and name in ("", key.name)]
    return fitting[0] if len(fitting) == 1 or (fitting and name) else None
