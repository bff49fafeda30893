"""Drives the starts of an arbiter: does the steps that they ask for, at Twitch.

Between the cue and the call stands nothing but the arbiter's own deciding.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from controller.arbiter.memory import COOLDOWN
from controller.arbiter.steps import Call, CheckLive, ReadLastAd, Refresh, Reply, Wait
from controller.clients.helix import Unauthorized
from controller.errors import TransientError
from controller.events import Answer, AnswerKind, Ruling
from controller.resources.twitchchannel import READ_ADS_SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from controller.arbiter.arbiter import Arbiter
    from controller.arbiter.starts import Start
    from controller.arbiter.steps import Step
    from controller.clients.helix import Credential, Helix
    from controller.sensitive import Sensitive

__all__ = ["Signer", "StartDriver"]

_FAR = 3600.0  # asyncio's timers take no infinity


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

    def doubt(self) -> None:
        """Twitch refused a call that the grant should cover: have it validated soon."""
        ...


class StartDriver:
    """Drives one start.

    Args:
        helix: Twitch.
        signer: Signs the calls.
        broadcaster_id: Of the channel; asked at each call.
        on_waiting: Called with what to tell of the cue while it waits.

    Attributes:
        called_at: When the first call left, on the monotonic clock; None: none did.
    """

    def __init__(
        self,
        helix: Helix,
        signer: Signer,
        broadcaster_id: Callable[[], str],
        on_waiting: Callable[[Ruling], None],
    ) -> None:
        self._helix = helix
        self._signer = signer
        self._broadcaster_id = broadcaster_id
        self._on_waiting = on_waiting
        self._told: Ruling | None = None
        self._changed = asyncio.Event()
        self._is_dry_run = False
        self._run: Generator[Step, Reply, Ruling] | None = None
        self._step: Step | None = None
        self.called_at: float | None = None

    def wake(self) -> None:
        """Something about the channel changed: let the start judge anew."""
        self._changed.set()

    def begin(self, arbiter: Arbiter, start: Start, now: float) -> Ruling | None:
        """Take a first look.

        Args:
            arbiter: Of the channel; one that rehearses makes no call.
            start: What it took.
            now: The present time.

        Returns:
            The ruling, if there is nothing to do; else `finish` goes on.
        """
        self._is_dry_run = start.cue.dry_run
        self._run = arbiter.run(start, now)
        try:
            self._step = next(self._run)
        except StopIteration as end:
            ruling: Ruling = end.value
            return ruling
        return None

    async def finish(self) -> Ruling:
        """Do what is to be done, to the end."""
        run, step = self._run, self._step
        if run is None or step is None:
            msg = "there is something to finish once begin has said so"
            raise RuntimeError(msg)
        try:
            while True:
                step = run.send(await self._do(step))
        except StopIteration as end:
            ruling: Ruling = end.value
            return ruling
        finally:
            run.close()

    async def _do(self, step: Step) -> Reply:
        if isinstance(step, Wait):
            await self._wait(step)
        elif self._is_dry_run:
            return _assume_accepted(step)
        elif isinstance(step, Call):
            return await self._call(step.length)
        elif isinstance(step, ReadLastAd):
            return await self._read_last_ad()
        elif isinstance(step, CheckLive):
            return await self._look_live()
        elif isinstance(step, Refresh):
            return await self._refresh()
        return Reply(time.time())

    async def _wait(self, step: Wait) -> None:
        if step.told is not None and step.told != self._told:
            self._told = step.told
            self._on_waiting(step.told)
        pause = min(max(0.0, step.until - time.time()), _FAR)
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _call(self, length: int) -> Reply:
        credential = self._signer.credential()
        if credential is None:
            told = "the access token has expired, and there is no other yet"
            return Reply(time.time(), answer=Answer(AnswerKind.UNAUTHORIZED, told))
        if self.called_at is None:
            self.called_at = time.monotonic()
        answer = await self._helix.start_commercial(credential, self._broadcaster_id(), length)
        if answer.kind is AnswerKind.SCOPE_MISSING:
            self._signer.doubt()
        return Reply(time.time(), answer=answer)

    async def _read_last_ad(self) -> Reply:
        credential = self._signer.credential()
        if not self._signer.may(READ_ADS_SCOPE):
            return Reply(time.time(), unreadable=f"the grant lacks the scope {READ_ADS_SCOPE}")
        if credential is None:
            return Reply(time.time(), unreadable="there is no access token")
        try:
            schedule = await self._helix.ad_schedule(credential, self._broadcaster_id())
        except TransientError as error:
            self._doubt_after(error)
            # "Cannot be read" is an answer of its own: the arbiter knows what follows from it.
            return Reply(time.time(), unreadable=str(error))
        return Reply(time.time(), last_ad_known=True, last_ad=schedule.last_ad)

    async def _look_live(self) -> Reply:
        credential, broadcaster_id = self._signer.credential(), self._broadcaster_id()
        if credential is None:
            return Reply(time.time())
        try:
            live = await self._helix.live_user_ids(credential, [broadcaster_id])
        except TransientError as error:
            self._doubt_after(error)
            return Reply(time.time())  # not known: the refusal stands as it came
        return Reply(time.time(), live=broadcaster_id in live)

    def _doubt_after(self, error: TransientError) -> None:
        if isinstance(error, Unauthorized):
            self._signer.doubt()

    async def _refresh(self) -> Reply:
        credential = self._signer.credential()
        renewed = await self._signer.renew(credential.access if credential is not None else None)
        return Reply(time.time(), refreshed=renewed)


def _assume_accepted(step: Step) -> Reply:
    """What Twitch would say as a rule: a rehearsal calls nothing."""
    if isinstance(step, Call):
        answer = Answer(AnswerKind.ACCEPTED, "", COOLDOWN, step.length)
        return Reply(time.time(), answer=answer)
    return Reply(time.time())
