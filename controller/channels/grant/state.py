"""What one process remembers of a channel's grant, beside what the token Secret keeps."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.channels.policies.grant_facts import Holding, Known
from controller.policies import problems

if TYPE_CHECKING:
    from controller.channels.policies.grant_facts import Grant, RevokedGrant
    from controller.clients.helix import User
    from controller.clients.identity import Application
    from controller.policies.problems import Blocked
    from controller.sensitive import Sensitive

__all__ = ["CLIENT_INTERVAL", "GrantState"]

CLIENT_INTERVAL = 600.0
"""Seconds after which an application that Twitch refused is tried again: it may have erred."""


_BELIEVED = 3  # so many refusals in a row that give no reason


@dataclass(slots=True)
class GrantState:
    """Memory of one channel's grant.

    Attributes:
        saved: What the token Secret holds.
        pending: What is newer than that; None: nothing.
        app: The application; None: it cannot be read.
        refusals: What Twitch refused of what the user gave, by `Input.key`.
        dead: Twitch will not refresh the grant.
        asked: A human asked for a new consent.
        doubts: How often in a row Twitch refused what is exchanged without a reason, by
            fingerprint.
        polled_at: When the device code was last asked about.
        slower: Seconds that Twitch wants added to its interval.
        user: The broadcaster; None: not known, or the grant is dead.
        known: That broadcaster, where `spec.login` was theirs once; None: it was not.
        user_looked_at: When that was asked, by `time.monotonic`.
        last_refresh: When a token was last fetched, by this process.
        last_validation: When Twitch last confirmed the token, to this process.
        validate_due: Validate though the interval is not over.
    """

    saved: Holding = field(default_factory=Holding)
    pending: Holding | None = None
    app: Application | None = None
    refusals: dict[tuple[str, str | None], Blocked] = field(default_factory=dict)
    dead: RevokedGrant | None = None
    asked: bool = False
    doubts: Counter[str] = field(default_factory=Counter)
    polled_at: float = 0.0
    slower: float = 0.0
    user: User | None = None
    known: Known | None = None
    user_looked_at: float = -math.inf
    last_refresh: float | None = None
    last_validation: float | None = None
    validate_due: bool = False
    _judged_app: Application | None = None
    _rejected_app: Application | None = None
    _rejected_at: float = 0.0
    _rejection: str = ""

    @property
    def holding(self) -> Holding:
        """The newest that is in hand."""
        return self.pending or self.saved

    @property
    def grant(self) -> Grant | None:
        """The grant that calls may be signed with: a rotated one only once it is in its Secret."""
        pending, saved = self.pending, self.saved.grant
        fresh = pending.grant if pending is not None else None
        if fresh is not None and saved is not None and fresh.refresh == saved.refresh:
            return fresh  # nothing rotated: the Secret would not lose anything
        return saved

    def changes(self, app: Application) -> bool:
        """Whether another application, or another secret of it, was used before."""
        return self._judged_app not in (None, app)

    def use(self, app: Application) -> None:
        """What Twitch refused to another application, it may grant to this one."""
        if self._judged_app != app:
            self._judged_app = app
            self.forget_refusals()
        self.app = app

    def reject(self, app: Application, told: str) -> None:
        """Twitch refuses the application."""
        self._rejected_app, self._rejection = app, told
        self._rejected_at = time.monotonic()

    def rejection(self, secret_name: str) -> Blocked | None:
        """Why the application is of no use, for as long as that is believed."""
        if self._rejected_app is None:
            return None
        if time.monotonic() >= self._rejected_at + CLIENT_INTERVAL:
            self._rejected_app = None
            return None
        return problems.client_rejected(self._rejection, secret_name)

    def forget_refusals(self) -> None:
        """Try anew what was refused."""
        self.refusals.clear()
        self.doubts.clear()
        self.dead, self._rejected_app, self.last_validation = None, None, None

    def doubt(self, credential: Sensitive) -> bool:
        """Twitch refused it without a reason; whether so often that it is to be believed."""
        fingerprint = credential.sha256()
        self.doubts[fingerprint] += 1
        return self.doubts[fingerprint] >= _BELIEVED

    def adopt(self, stored: Holding) -> bool:
        """Take over what another wrote: a former process, or another replica."""
        if _identity(stored) == _identity(self.saved):
            return False
        left = stored.revoke_request not in ("", self.saved.revoke_request)
        if stored.grant is None and self.saved.grant is not None and not left:
            self.pending = self.saved  # somebody emptied it: what is in hand is written anew
            return False
        self.saved, self.dead, self.last_validation = stored, None, None
        self.polled_at = time.time()  # when the code was last asked about is not known
        return True

    def meet(self, wanted: str | None) -> None:
        """Remember the user by the id, if it is the one of `spec.login`; else nobody."""
        user = self.user
        if user is not None and user.login == wanted:
            self.known = Known(user.id, user.login)
        elif user is not None and self.known is not None and self.known.id != user.id:
            self.known = None  # a stranger's rename is not to be taken for this one's

    def renamed(self, wanted: str | None) -> bool:
        """Whether the user is the one of `spec.login`, under another login by now."""
        user = self.user
        if user is None or wanted is None or user.login == wanted:
            return False
        return self.known == Known(user.id, wanted)

    def drop_access(self) -> None:
        """Twitch refused the access token."""
        self.saved = self.saved.without_access()


def _identity(holding: Holding) -> tuple[object, ...]:
    """What tells two holdings apart; the rest is what Twitch said about the same tokens later."""
    return (
        holding.grant and (holding.grant.access, holding.grant.refresh),
        holding.device and holding.device.code,
        holding.input_sha256,
        holding.revoke_request,
    )
