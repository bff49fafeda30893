"""Which of several replicas leads: what follows from the Lease, and from when it changed.

Instants are seconds of one replica's own clock. Those of another are never compared with them: a
renewal counts from when this replica saw it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller.term import Former

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Lease",
    "Sight",
    "expires",
    "fence",
    "former",
    "may_keep",
    "observe",
    "renewed",
    "vacant",
]

_MARGIN = 1.0  # seconds between the end of the last call and another replica's first


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease of coordination.k8s.io.

    Attributes:
        holder: Identity of the replica that leads; "": none does.
        seconds: After which, without a renewal, another may lead.
        transitions: How often somebody took it.
        acquired: When the holder acquired it, as it is stored.
        handed_over: The last holder released it, and had written all statuses.
        metadata: Of the object; empty: it does not exist yet.
    """

    holder: str
    seconds: float
    transitions: int = 0
    acquired: str = ""
    handed_over: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Changes with each write; that of an object that was made anew is another."""
        return f"{self.metadata.get('uid')}/{self.metadata.get('resourceVersion')}"


@dataclass(frozen=True, slots=True)
class Sight:
    """What a replica knows of the Lease.

    Attributes:
        lease: As it was last seen; None: it does not exist.
        since: Since when it has been seen unchanged.
        failing: Since when the API server has not answered; None: it did, the last time.
    """

    lease: Lease | None
    since: float
    failing: float | None = None


def observe(before: Sight | None, lease: Lease | None, now: float) -> Sight:
    """Take what the API server told of the Lease.

    While the API server was away, the holder could not renew: the time does not count against it,
    so that it goes on first, with what it has to write.

    Args:
        before: What was known.
        lease: As it is; None: it does not exist.
        now: When that was told.
    """
    if before is None or _version(before.lease) != _version(lease):
        return Sight(lease, now)
    away = 0.0 if before.failing is None else now - before.failing
    long = lease is not None and away > lease.seconds / 2
    return Sight(lease, now if long else before.since)


def expires(sight: Sight, identity: str, seconds: float) -> float:
    """When a replica may try to take the Lease; in the past: now; infinity: it does not exist.

    Args:
        sight: What is known of it.
        identity: Of the replica.
        seconds: Of the replica's own leases.
    """
    lease = sight.lease
    if lease is None:
        return math.inf
    released = not lease.holder and lease.transitions > 0
    if released or lease.holder == identity:
        return sight.since
    return sight.since + max(seconds, lease.seconds)


def former(sight: Sight, identity: str) -> Former:
    """What is known of the process that led before one that takes the Lease now."""
    lease = sight.lease
    if lease is None or lease.holder == identity or not lease.transitions:
        return Former.MAY_CALL  # this Pod's former container, or one without an election
    return Former.HANDED_OVER if lease.handed_over else Former.IS_OVER


def may_keep(lease: Lease | None, identity: str, *, in_time: bool) -> bool:
    """Whether a leader whose renewal was not stored may try again.

    Args:
        lease: As it is now.
        identity: Of the leader.
        in_time: Its deadline is not over, so that nobody else can have led since.
    """
    if lease is not None and lease.holder:
        return lease.holder == identity
    return in_time and not (lease is not None and lease.transitions)


def fence(sent: float, seconds: float, call_timeout: float) -> float:
    """Until when a changing call may begin.

    Args:
        sent: When the last renewal that was answered well was sent.
        seconds: Of the lease.
        call_timeout: Seconds after which a call that has begun can no longer act.
    """
    return sent + seconds - call_timeout - _MARGIN


def vacant(seconds: float) -> Lease:
    """The Lease as a replica makes it that finds none.

    Nobody holds it: the former one may have been deleted while its holder led. Whoever sees this
    one for its whole duration may take it.
    """
    return Lease("", seconds)


def renewed(lease: Lease | None, identity: str, seconds: float, now: str) -> Lease:
    """The Lease as a replica writes it to take or to keep it.

    Args:
        lease: As it is; None: it was deleted while the replica led.
        identity: Of the replica.
        seconds: Of the lease.
        now: As it is stored.
    """
    if lease is None:
        return Lease(identity, seconds, 1, now)
    kept = lease.holder == identity
    transitions = lease.transitions + (0 if kept else 1)
    acquired = lease.acquired if kept else now
    return Lease(identity, seconds, transitions, acquired, metadata=lease.metadata)


def _version(lease: Lease | None) -> str | None:
    return None if lease is None else lease.version
