"""A credential that cannot be printed by accident."""

from __future__ import annotations

import hashlib

__all__ = ["Sensitive"]


class Sensitive:
    """Holds a token, secret, code or key; prints as `***` whatever prints it.

    Comparable and hashable by value, so that it can be part of a key.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The credential itself: for the call that needs it, and nothing else."""
        return self._value

    def sha256(self) -> str:
        """Fingerprint in hexadecimal, to see whether a credential changed."""
        return hashlib.sha256(self._value.encode()).hexdigest()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        msg = "a Sensitive is never pickled"
        raise TypeError(msg)
