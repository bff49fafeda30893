"""A TwitchChannel that runs: its grant, its arbiter, the queue of its cues."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller.actions.commercial import CommercialAction
from controller.engine.conditions import to_conditions
from controller.events import Verdict
from controller.policies.conditions import (
    ChannelFacts,
    Finding,
    channel_findings,
    commercials_ready,
)
from controller.resources.common import InvalidSpec
from controller.resources.twitchchannel import (
    AuthorizationStatus,
    Broadcaster,
    Commercials,
    RecentCue,
    TwitchChannelSpec,
    TwitchChannelStatus,
)
from controller.rules.arbiter import Arbiter
from controller.rules.steps import CueRecord, Readiness, Ruling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clients.helix import Credential, Helix
    from controller.engine.grants import GrantKeeper
    from controller.engine.resource import Resource
    from controller.engine.stream_keys import StreamKeyKeeper
    from controller.rules.steps import Cue

    Done = Callable[[Ruling, float | None], None]
    from controller.sensitive import Sensitive

__all__ = ["Channel"]

logger = logging.getLogger(__name__)

_QUEUE = 100


class Channel:
    """One channel; cues run one after the other, and never wait for another channel.

    Attributes:
        resource: As the API server holds it.
        spec: Parsed; None where it cannot be.
        keeper: Its grant.
        stream_key: Its stream key, where the spec wants it in a Secret.
        live: Whether a stream runs; None: not known yet.
        broadcaster_id: Under which it is counted among the channels of one broadcaster.
        rival: The older channel of the same broadcaster.
        tried: Set when the grant was looked at for the first time.
        concluded: A first round has ended, so that there is something to tell.
        stopped: It runs no more.
        handled: The last request to reconcile that a round has answered.
        status: As last written, or as found.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        resource: Resource,
        *,
        keeper: GrantKeeper,
        stream_key: StreamKeyKeeper,
        helix: Helix,
        started: float,
        call_timeout: float,
    ) -> None:
        self.keeper = keeper
        self.stream_key = stream_key
        self.live: bool | None = None
        self.rival: str | None = None
        self.broadcaster_id: str | None = None
        self.concluded = False
        self.stopped = False
        self.status = TwitchChannelStatus.from_status(resource.status)
        self.handled = self.status.last_handled_reconcile_at
        keeper.revoked_before = self.status.last_handled_revoke_at or ""
        self.arbiter = _arbiter(self.status, started, call_timeout)
        self.resource = resource
        self.spec: TwitchChannelSpec | None = None
        self._spec_problem: str | None = None
        self._action = CommercialAction(helix, self)
        self._cues: deque[tuple[Cue, Done, Callable[[], bool]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.tried = asyncio.Event()
        self.update(resource)

    def update(self, resource: Resource) -> None:
        """Take a new state of the resource."""
        self.resource = resource
        self.keeper.revoke_request = resource.revoke_requested_at or ""
        try:
            self.spec = TwitchChannelSpec.from_spec(resource.spec)
            self._spec_problem = None
        except InvalidSpec as error:
            self.spec, self._spec_problem = None, str(error)
        self.settle()

    @property
    def login(self) -> str | None:
        """The broadcaster's login, where it is known."""
        return self.keeper.user.login if self.keeper.user is not None else None

    @property
    def claim(self) -> str | None:
        """Id of the broadcaster whose grant it has; until a first round, as the status tells."""
        if self.keeper.user is not None:
            return self.keeper.user.id
        known = self.status.broadcaster
        if known is None or self.tried.is_set():
            return None
        held = any(c.type == "Authorized" and c.status == "True" for c in self.status.conditions)
        return known.id if held else None

    def credential(self) -> Credential | None:
        """What to sign a call with."""
        return self.keeper.credential()

    def may(self, scope: str) -> bool:
        """Whether the grant covers a scope."""
        return self.keeper.may(scope)

    async def renew(self, refused: Sensitive | None) -> bool:
        """Replace a refused access token."""
        return self.spec is not None and await self.keeper.renew(self.spec, refused)

    def findings(self) -> tuple[Finding, ...]:
        """The conditions as they are now."""
        return channel_findings(self._facts())

    def _facts(self) -> ChannelFacts:
        keeper, grant, spec = self.keeper, self.keeper.grant, self.spec
        user = keeper.user
        wants_key = spec is not None and spec.stream_key_secret_name is not None
        return ChannelFacts(
            spec_problem=self._spec_problem,
            suspended=self.suspended,
            blocked=keeper.blocked,
            failure=keeper.failure,
            expires_at=grant.expires_at if grant and keeper.credential() is not None else None,
            ending=keeper.ending,
            refused_input=keeper.refused_input,
            remedy=keeper.remedy,
            scopes=grant.scopes if grant is not None else (),
            wanted_scopes=spec.wanted_scopes if spec is not None else (),
            wanted_login=spec.login if spec is not None else None,
            login=user.login if user is not None else None,
            broadcaster_type=user.broadcaster_type if user is not None else None,
            rival=self.rival,
            live=self.live,
            stream_key=self.stream_key.synced if wants_key else None,
            stream_key_problem=self.stream_key.problem,
        )

    @property
    def authorized(self) -> bool:
        """Whether it has the grant that it should have."""
        return any(f.type == "Authorized" and f.status == "True" for f in self.findings())

    @property
    def suspended(self) -> bool:
        """Whether the user paused it."""
        return self.spec is not None and self.spec.suspend

    @property
    def ready(self) -> Finding:
        """Whether cues may start commercials."""
        return commercials_ready(self._facts())

    def settle(self) -> None:
        """Tell the arbiter whether cues may start something."""
        ready = self.ready
        verdict = _NOT_READY.get(ready.reason, Verdict.CHANNEL_NOT_READY)
        told = f"{ready.reason}: {ready.message}"
        self.arbiter.readiness = None if ready.status == "True" else Readiness(verdict, told)

    def submit(self, cue: Cue, done: Done, wanted: Callable[[], bool]) -> None:
        """Run a cue after those that came before.

        Args:
            cue: What is asked for.
            done: Called with the ruling and, where a call was made, the monotonic time at which
                the first one left.
            wanted: Asked before each call: False once the rule is gone or suspended.
        """
        if len(self._cues) >= _QUEUE:
            done(Ruling(Verdict.FAILED, f"{_QUEUE} cues wait for the channel already"), None)
            return
        self._cues.append((cue, done, wanted))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    @property
    def busy(self) -> bool:
        """Whether a cue is being run."""
        return self._task is not None

    async def drain(self) -> None:
        """Wait until the cues at hand have their rulings."""
        while self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def stop(self) -> None:
        """Drop the cues that wait: the resource is gone, or the process ends."""
        self.stopped = True
        self._cues.clear()
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        try:
            while self._cues:
                await self._work_on(*self._cues.popleft())
        finally:
            self._task = None

    async def _work_on(self, cue: Cue, done: Done, wanted: Callable[[], bool]) -> None:
        try:
            await self._first_round(cue)
            user = self.keeper.user
            broadcaster_id = user.id if user is not None else ""
            ruling = await self._action.run(self.arbiter, cue, broadcaster_id, wanted)
        except Exception:
            # A fault of ours: told as a verdict, and the next cue has its own chance.
            logger.exception("%s: cue %s failed", self.resource.key, cue.id)
            ruling = Ruling(Verdict.FAILED, "an internal fault; see the operator's log")
        try:
            done(ruling, self._action.called_at)
        except Exception:
            logger.exception("%s: the ruling on cue %s was not recorded", self.resource.key, cue.id)

    async def _first_round(self, cue: Cue) -> None:
        """A process that has just begun knows no grant yet: cues wait while they are young."""
        if self.tried.is_set():
            return
        try:
            async with asyncio.timeout(cue.due + cue.max_age - time.time()):
                await self.tried.wait()
        except TimeoutError:
            return

    def compose(self, now: float) -> TwitchChannelStatus | None:
        """What the status should say now; None: nothing yet."""
        return self._new_status(now) if self.concluded else None

    def written(self, status: TwitchChannelStatus, body: Mapping[str, Any]) -> None:
        """Take note of what the API server holds now."""
        self.status = status
        self.resource = replace(self.resource, status=body)

    def _new_status(self, now: float) -> TwitchChannelStatus:
        """What `status` should say now."""
        self.settle()
        user = self.keeper.user
        broadcaster = self.status.broadcaster
        if user is not None:
            broadcaster = Broadcaster(
                id=user.id,
                login=user.login,
                display_name=user.display_name,
                type=user.broadcaster_type or None,
            )
        return TwitchChannelStatus(
            observed_generation=self.resource.generation,
            last_handled_reconcile_at=self.handled,
            last_handled_revoke_at=self.keeper.revoked_for or None,
            conditions=to_conditions(
                self.findings(), self.status.conditions, self.resource.generation, now
            ),
            broadcaster=broadcaster,
            authorization=self._authorization(),
            commercials=self._commercials(),
        )

    def _authorization(self) -> AuthorizationStatus | None:
        keeper, before = self.keeper, self.status.authorization
        grant, device = keeper.grant, keeper.device
        if grant is None and device is None and (before is None or not self.tried.is_set()):
            return before
        told = before or AuthorizationStatus()
        return AuthorizationStatus(
            scopes=grant.scopes if grant is not None else (),
            expiration_time=(grant.expires_at or None) if grant is not None else None,
            last_refresh_time=keeper.last_refresh or told.last_refresh_time,
            last_validation_time=keeper.last_validation or told.last_validation_time,
            verification_uri=device.verification_uri if device is not None else None,
            user_code=device.user_code if device is not None else None,
            user_code_expiration_time=device.expires_at if device is not None else None,
        )

    def _commercials(self) -> Commercials | None:
        arbiter, before = self.arbiter, self.status.commercials
        last, recent = arbiter.last_fired, arbiter.recent
        if last is None and not recent and arbiter.next_eligible is None:
            return before
        return Commercials(
            last_start_time=last.started if last else before and before.last_start_time,
            last_length_seconds=last.length if last else before and before.last_length_seconds,
            last_message=arbiter.last_message or (before and before.last_message),
            retry_after_seconds=_seconds(arbiter.retry_after)
            if arbiter.retry_after is not None
            else before and before.retry_after_seconds,
            next_eligible_time=arbiter.next_eligible,
            recent_cues=tuple(
                RecentCue(
                    cue_id=record.cue_id,
                    publish_time=record.published,
                    start_time=record.started,
                    length_seconds=record.length,
                    result=record.result.value,
                )
                for record in recent
            ),
        )


_NOT_READY = {"Suspended": Verdict.SUSPENDED, "NotEligible": Verdict.NOT_ELIGIBLE}


def _seconds(value: float) -> int:
    return round(value)


def _arbiter(status: TwitchChannelStatus, started: float, call_timeout: float) -> Arbiter:
    commercials = status.commercials or Commercials()
    results = {verdict.value: verdict for verdict in Verdict}
    records = [
        CueRecord(
            cue.cue_id,
            cue.publish_time,
            cue.start_time or cue.publish_time,
            cue.length_seconds or 0,
            results.get(cue.result, Verdict.FIRED),
        )
        for cue in commercials.recent_cues
    ]
    arbiter = Arbiter(started, call_timeout, records, commercials.next_eligible_time)
    arbiter.retry_after = commercials.retry_after_seconds
    return arbiter
