"""Drives an arbiter's run: does the steps that it asks for, at Twitch.

Between the cue and the call stands nothing but the arbiter's own deciding.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from controller.clients.helix import Unauthorized
from controller.errors import TransientError
from controller.events import Answer, AnswerKind, Verdict
from controller.policies.grant_facts import READ_ADS_SCOPE
from controller.rules.steps import Call, ReadLastAd, Refresh, Reply, Ruling, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clients.helix import Credential, Helix
    from controller.rules.arbiter import Arbiter
    from controller.rules.steps import Cue, Step
    from controller.sensitive import Sensitive

__all__ = ["CommercialAction", "Signer"]


class Signer(Protocol):
    """Who signs the calls of a channel."""

    def credential(self) -> Credential | None:
        """What to sign with; None: nothing that lives."""
        ...

    def may(self, scope: str) -> bool:
        """Whether the grant covers this scope."""
        ...

    async def renew(self, refused: Sensitive | None) -> bool:
        """Replace an access token that was refused or expired; whether there is another now."""
        ...


class CommercialAction:
    """Runs cues of one channel, one after the other.

    Attributes:
        called_at: When the first call of the last run left, on the monotonic clock; None: none did.
    """

    def __init__(self, helix: Helix, signer: Signer) -> None:
        self._helix = helix
        self._signer = signer
        self._broadcaster_id = ""
        self.called_at: float | None = None

    async def run(
        self, arbiter: Arbiter, cue: Cue, broadcaster_id: str, wanted: Callable[[], bool]
    ) -> Ruling:
        """Decide about a cue, and call where it comes to that.

        Args:
            arbiter: Of the channel.
            cue: The cue.
            broadcaster_id: Of the channel.
            wanted: Asked before each call; a cue may wait while its rule is suspended or deleted.
        """
        self.called_at = None
        self._broadcaster_id = broadcaster_id
        run = arbiter.run(cue, time.time())
        try:
            step = next(run)
            while True:
                if isinstance(step, Call) and not wanted():
                    told = "the rule was suspended or deleted while the cue waited"
                    return Ruling(Verdict.SUSPENDED, told)
                step = run.send(await self._do(step))
        except StopIteration as end:
            ruling: Ruling = end.value
            return ruling

    async def _do(self, step: Step) -> Reply:
        if isinstance(step, Call):
            return await self._call(step.length)
        if isinstance(step, Wait):
            await asyncio.sleep(max(0.0, step.until - time.time()))
        elif isinstance(step, ReadLastAd):
            return await self._read_last_ad()
        elif isinstance(step, Refresh):
            return await self._refresh()
        return Reply(time.time())

    async def _call(self, length: int) -> Reply:
        credential = self._signer.credential()
        if credential is None:
            told = "the access token has expired, and there is no other yet"
            return Reply(time.time(), answer=Answer(AnswerKind.UNAUTHORIZED, told))
        if self.called_at is None:
            self.called_at = time.monotonic()
        answer = await self._helix.start_commercial(credential, self._broadcaster_id, length)
        return Reply(time.time(), answer=answer)

    async def _read_last_ad(self) -> Reply:
        credential = self._signer.credential()
        if credential is None or not self._signer.may(READ_ADS_SCOPE):
            return Reply(time.time())
        try:
            last = await self._helix.last_ad_at(credential, self._broadcaster_id)
        except (Unauthorized, TransientError):
            # "Cannot be read" is an answer of its own: the arbiter knows what follows from it.
            return Reply(time.time())
        return Reply(time.time(), last_ad_known=True, last_ad=last)

    async def _refresh(self) -> Reply:
        credential = self._signer.credential()
        renewed = await self._signer.renew(credential.access if credential is not None else None)
        return Reply(time.time(), refreshed=renewed)
