"""A TwitchChannel that runs: its grant, its commercials, its status."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller.arbiter.memory import COOLDOWN
from controller.arbiter.steps import Readiness
from controller.channels import status as channel_status
from controller.channels.airtime import Airtime
from controller.channels.metrics import ChannelState
from controller.channels.policies.conditions import (
    ChannelFacts,
    channel_findings,
    commercials_ready,
)
from controller.events import Verdict
from controller.policies.pausing import find_pause, paused_message
from controller.resources.commercials import DEFAULT_POLICY, CommercialPolicy
from controller.resources.common import InvalidSpec
from controller.resources.kind import REVOKE_REQUESTED_AT
from controller.resources.twitchchannel import TwitchChannelSpec, TwitchChannelStatus
from controller.runtime.conditions import to_conditions
from controller.runtime.resource import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.arbiter.arbiter import Arbiter
    from controller.channels.grant.manager import GrantManager
    from controller.channels.stream_keys import StreamKeyManager
    from controller.clients.helix import Credential, Helix
    from controller.policies.findings import Finding
    from controller.resources.twitchchannel import LastFire
    from controller.runtime.resource import Resource
    from controller.sensitive import Sensitive

__all__ = ["Channel"]


class Channel:
    """One channel.

    Attributes:
        resource: As the API server holds it.
        spec: Parsed; None where it cannot be.
        grant_manager: Its grant.
        stream_key: Its stream key, where the spec wants it in a Secret.
        airtime: Its commercials.
        live: Whether a stream runs; None: not known yet.
        broadcaster_id: Under which it is counted among the channels of one broadcaster.
        conflict: The older channel of the same broadcaster.
        tried: The grant was looked at for the first time.
        concluded: A first round has ended, so that there is something to tell.
        stumbled: The first try failed by something that may pass, and was not told.
        stopped: It runs no more.
        handled: The last request to reconcile that a round has answered.
        fired_for: The last request for a commercial by hand that was answered.
        last_fire: What became of it.
        status: As last written, or as found.
        pause: What the annotation says that holds its calls; None: there is none.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        grant_manager: GrantManager,
        stream_key: StreamKeyManager,
        helix: Helix,
        arbiter: Arbiter,
        on_refused: Callable[[Channel], None],
    ) -> None:
        self._on_refused = on_refused
        self.grant_manager = grant_manager
        self.stream_key = stream_key
        self.live: bool | None = None
        self.conflict: str | None = None
        self.broadcaster_id: str | None = None
        self.concluded = False
        self.stumbled = False
        self.stopped = False
        self.handled: str | None
        self.fired_for: str | None
        self.last_fire: LastFire | None
        self._remember(resource, arbiter)
        self.resource = resource
        self.pause: str | None = None
        self.spec: TwitchChannelSpec | None = None
        self._spec_problem: str | None = None
        self.tried = False
        self.airtime = Airtime(
            str(resource.key),
            helix=helix,
            signer=self,
            broadcaster_id=lambda: (
                self.grant_manager.user.id if self.grant_manager.user is not None else ""
            ),
            arbiter=arbiter,
        )
        self.update(resource)

    def _remember(self, resource: Resource, arbiter: Arbiter) -> None:
        """Take what a former process wrote to the status."""
        status = TwitchChannelStatus.from_status(resource.status)
        self._status = pack(resource.status)
        self.handled = status.last_handled_reconcile_at
        self.fired_for = status.last_handled_fire_at
        self.last_fire = status.last_fire
        self.grant_manager.known = channel_status.known(status.broadcaster)
        self.grant_manager.revoked_before = status.last_handled_revoke_at or ""
        remembered = channel_status.remembered(status)
        arbiter.memory.retry_after = remembered.retry_after
        arbiter.ads.last_confirmed = remembered.last_confirmed

    def recall(self, resource: Resource) -> None:
        """Take over what another process wrote to the status; nothing of this one is under way."""
        status, before = TwitchChannelStatus.from_status(resource.status), self.airtime.arbiter
        arbiter = channel_status.remembering_arbiter(status, before.term, before.call_timeout)
        self._remember(resource, arbiter)
        self.resource = resource.kept(self._status)
        self.airtime.recall(arbiter)
        self.settle()

    def update(self, resource: Resource) -> None:
        """Take a new state of the resource."""
        self.pause = find_pause(resource.annotations)
        self.resource = resource.kept()
        self.grant_manager.revoke_request = resource.annotations.get(REVOKE_REQUESTED_AT, "")
        try:
            self.spec = TwitchChannelSpec.from_spec(resource.spec)
            self._spec_problem = None
        except InvalidSpec as error:
            self.spec, self._spec_problem = None, str(error)
        self.settle()

    @property
    def policy(self) -> CommercialPolicy:
        """How its commercials are run."""
        return self.spec.commercials if self.spec is not None else DEFAULT_POLICY

    @property
    def login(self) -> str | None:
        """The broadcaster's login, where it is known."""
        return self.grant_manager.user.login if self.grant_manager.user is not None else None

    @property
    def claim(self) -> str | None:
        """Id of the broadcaster whose grant it has; until a first round, as the status tells."""
        if self.grant_manager.user is not None:
            return self.grant_manager.user.id
        if self.tried:
            return None
        return channel_status.claim_of(self.status)

    @property
    def status(self) -> TwitchChannelStatus:
        """What was last written, or found; few ask for it, so that it is parsed when they do."""
        return TwitchChannelStatus.from_status(unpack(self._status))

    def credential(self) -> Credential | None:
        """What to sign a call with."""
        return self.grant_manager.credential()

    def may(self, scope: str) -> bool:
        """Whether the grant covers a scope."""
        return self.grant_manager.may(scope)

    async def renew(self, refused: Sensitive | None) -> bool:
        """Replace a refused access token."""
        return self.spec is not None and await self.grant_manager.renew(self.spec, refused)

    def doubt(self) -> None:
        """Twitch refused a call that the grant should cover."""
        self._on_refused(self)

    def state(self) -> ChannelState:
        """What a scrape tells of it."""
        key, fired = self.resource.key, self.airtime.arbiter.memory.last_fired
        end = fired.started + (fired.accepted or fired.length) if fired is not None else 0.0
        return ChannelState((key.namespace, key.name), self.live, end)

    def findings(self) -> tuple[Finding, ...]:
        """The conditions as they are now."""
        return channel_findings(self._facts())

    def _facts(self) -> ChannelFacts:
        grant_manager, grant, spec = self.grant_manager, self.grant_manager.grant, self.spec
        user = grant_manager.user
        wants_key = spec is not None and spec.stream_key_secret_name is not None
        return ChannelFacts(
            spec_problem=self._spec_problem,
            suspended=self.suspended,
            paused=self._paused_message(),
            blocked=grant_manager.blocked,
            failure=grant_manager.failure,
            expires_at=grant.expires_at
            if grant and grant_manager.credential() is not None
            else None,
            ending=grant_manager.ending,
            refused_input=grant_manager.refused_input,
            owner_problem=grant_manager.owners.problem or self.stream_key.owners.problem,
            remedy=grant_manager.remedy,
            scopes=grant.scopes if grant is not None else (),
            wanted_scopes=spec.wanted_scopes if spec is not None else (),
            wanted_login=spec.login if spec is not None else None,
            login=user.login if user is not None else None,
            renamed=grant_manager.renamed(spec.login) if spec is not None else False,
            broadcaster_type=user.broadcaster_type if user is not None else None,
            conflict=self.conflict,
            live=self.live,
            stream_key=self.stream_key.synced if wants_key else None,
            stream_key_problem=self.stream_key.problem,
            next_ad=self._near_ad(),
        )

    def _paused_message(self) -> str | None:
        key = self.resource.key
        return (
            paused_message(self.pause, key.name, key.namespace) if self.pause is not None else None
        )

    def _near_ad(self) -> float | None:
        """When Twitch means to run an ad, if so soon that it may be a break's; to the minute."""
        schedule = self.airtime.arbiter.ads.schedule
        if schedule is None or schedule.next_ad is None:
            return None
        near = 0 <= schedule.next_ad - time.time() <= COOLDOWN
        return 60.0 * round(schedule.next_ad / 60) if near else None

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
        """Tell the arbiter how commercials are run, and whether cues may start any."""
        if self.stopped:
            return  # a round or a look that was under way must not wake it up again
        ready = self.ready
        readiness: Readiness | None = None
        if ready.status != "True":
            readiness = Readiness.of(ready.reason, ready.message)
            # A process that has just begun knows no grant yet, and a new grant may have scopes
            # that are not known yet: cues wait while they are young.
            grant = self.grant_manager.grant
            unknown = not self.tried or (grant is not None and grant.scopes is None)
            passing = unknown and readiness.verdict is Verdict.CHANNEL_NOT_READY
            readiness = replace(readiness, passing=passing)
        self.airtime.settle(self.policy, readiness)

    def stop(self) -> None:
        """Drop what is on its way: the resource is gone, or the process ends."""
        self.stopped = True
        self.airtime.stop()

    def compose(self, now: float) -> TwitchChannelStatus | None:
        """What the status should say now; None: nothing yet."""
        return self._new_status(now) if self.concluded else None

    def written(self, body: Mapping[str, Any]) -> None:
        """Take note of what the API server holds now."""
        self._status = pack(body)
        self.resource = self.resource.kept(self._status)

    def _new_status(self, now: float) -> TwitchChannelStatus:
        """What `status` should say now."""
        self.settle()
        grant_manager, arbiter, before = self.grant_manager, self.airtime.arbiter, self.status
        return TwitchChannelStatus(
            observed_generation=self.resource.generation,
            last_handled_reconcile_at=self.handled,
            last_handled_revoke_at=grant_manager.revoked_for or None,
            last_handled_fire_at=self.fired_for,
            last_fire=self.last_fire,
            conditions=to_conditions(
                self.findings(), before.conditions, self.resource.generation, now
            ),
            broadcaster=channel_status.broadcaster(
                grant_manager.user, grant_manager.known, before.broadcaster
            ),
            authorization=channel_status.authorization(
                grant_manager, before.authorization, tried=self.tried
            ),
            commercials=channel_status.commercials(arbiter, before.commercials),
            ad_schedule=channel_status.ad_schedule(arbiter.ads.schedule, before.ad_schedule),
        )
