"""What a provider said about tokens, for as long as it counts: bounded, and without the tokens."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from controller.gateway.providers import InvalidToken

if TYPE_CHECKING:
    from controller.gateway.providers import Principal

__all__ = ["Memory"]

_MOST_AGE = 60.0  # seconds that an account counts
_REFUSED_FOR = 10.0  # seconds that a refusal counts: no token becomes good
_ROOM = 20_000  # accounts, and channels of them, that are kept
_MOST_REFUSED = 10_000

_Times = tuple[float, float]


class Memory:
    """What one provider said.

    The refused have a place of their own: whoever makes tokens up pushes no good one out. All
    instants are seconds since the epoch; where the clock is set back, nothing counts on.
    """

    def __init__(self) -> None:
        self._principals: OrderedDict[bytes, tuple[Principal, _Times]] = OrderedDict()
        self._refused: OrderedDict[bytes, _Times] = OrderedDict()
        self._used = 0

    def find(self, digest: bytes, now: float) -> Principal | None:
        """Whose a token is; None: it is not known.

        Args:
            digest: Of the token.
            now: The present time.

        Raises:
            InvalidToken: It was refused a moment ago.
        """
        since, until = self._refused.get(digest, (now, now))
        if since <= now < until:
            raise InvalidToken
        found = self._principals.get(digest)
        if found is None:
            return None
        principal, (since, until) = found
        if not since <= now < until:
            self._forget(digest)
            return None
        self._principals.move_to_end(digest)
        return principal

    def keep(self, digest: bytes, principal: Principal, now: float) -> None:
        """Remember whose a token is, until it ends, and not for long."""
        self._forget(digest)
        until = now + _MOST_AGE
        if principal.expires is not None:
            until = min(until, principal.expires)
        self._principals[digest] = (principal, (now, until))
        self._used += _size(principal)
        while self._used > _ROOM and len(self._principals) > 1:
            self._forget(next(iter(self._principals)))

    def refuse(self, digest: bytes, now: float) -> None:
        """Remember that a token is nobody's."""
        self._forget(digest)
        self._refused[digest] = (now, now + _REFUSED_FOR)
        self._refused.move_to_end(digest)
        if len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    def _forget(self, digest: bytes) -> None:
        found = self._principals.pop(digest, None)
        if found is not None:
            self._used -= _size(found[0])


def _size(principal: Principal) -> int:
    return 1 + len(principal.channels)
