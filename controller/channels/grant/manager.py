"""Keeps one channel's grant: does what `policies.grants.plan` says, and remembers the outcome.

The operator is the only writer of the token Secret. A rotated refresh token is in the Secret before
the access token that came with it is used; until then the old one serves as long as it lives.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING

from controller.channels.grant.reader import GrantReader
from controller.channels.grant.state import CLIENT_INTERVAL, GrantState
from controller.channels.grant.steps import GrantSteps
from controller.channels.policies import grant_plan as policy
from controller.channels.policies.grant_facts import (
    Device,
    Grant,
    GrantFacts,
    Input,
)
from controller.clients.helix import Credential
from controller.clients.kube import KubeError
from controller.errors import NotLeading, OperatorError
from controller.policies import problems
from controller.policies.problems import Blocked
from controller.runtime.owned_secrets import SecretOwners, jitter
from controller.runtime.plan_loop import settle

if TYPE_CHECKING:
    from controller.channels.grant.secrets import GrantSecrets
    from controller.channels.metrics import ChannelMetrics
    from controller.channels.policies.grant_facts import Known
    from controller.clients.helix import User
    from controller.clients.twitch import Twitch
    from controller.policies.rest import Rest
    from controller.resources.twitchchannel import TwitchChannelSpec
    from controller.runtime.resource import Key
    from controller.sensitive import Sensitive
    from controller.settings import Settings

__all__ = ["GrantManager"]

_RECHECK_INTERVAL = 10.0
_FINE = Blocked("Succeeded", "", human=False)

logger = logging.getLogger(__name__)


class GrantManager:
    """One channel's tokens.

    Args:
        key: The channel.
        uid: Its UID.
        twitch: Twitch's APIs.
        secrets: Keeps the tokens.
        metrics: Counts.
        settings: Intervals.

    Attributes:
        blocked: Why there is no grant to use; None: there is, or nothing was tried yet.
        failure: What passed wrong last, if it may pass; None: nothing.
        refused_input: Why a new input is not used, while the former grant is.
        ending: Why the grant ends with its access token; None: it will be refreshed.
        remedy: What to do where a consent is missing.
        device: The code that the broadcaster is to type; None: there is none.
        revoke_request: Value of the annotation that asks to end the grant; "": there is none.
        revoked_before: The last such value that the status tells to have been carried out: the
            token Secret, which tells it too, may have been lost or restored since.
    """

    def __init__(
        self,
        key: Key,
        uid: str,
        twitch: Twitch,
        secrets: GrantSecrets,
        metrics: ChannelMetrics,
        settings: Settings,
    ) -> None:
        self._key = key
        self._secrets = secrets
        self._settings = settings
        self._jitter = jitter(uid)
        self._lock = asyncio.Lock()
        self._state = GrantState()
        self._reader = GrantReader(key, self._state, secrets)
        self._steps = GrantSteps(
            key,
            self._state,
            identity=twitch.identity,
            helix=twitch.helix,
            secrets=secrets,
            metrics=metrics,
        )
        self._rechecked = -math.inf
        self.blocked: Blocked | None = None
        self.failure: str | None = None
        self.refused_input: Blocked | None = None
        self.ending: Blocked | None = None
        self.remedy = ""
        self.device: Device | None = None
        self.revoke_request = ""
        self.revoked_before = ""

    @property
    def grant(self) -> Grant | None:
        """The grant that calls may be signed with."""
        return None if self._leaving else self._state.grant

    @property
    def user(self) -> User | None:
        """The broadcaster, as Twitch tells; None: not known, or no grant."""
        return self._state.user

    @property
    def known(self) -> Known | None:
        """Who was found under `spec.login`; given what the status tells of a former process."""
        return self._state.known

    @known.setter
    def known(self, told: Known | None) -> None:
        self._state.known = told

    def renamed(self, wanted: str | None) -> bool:
        """Whether the broadcaster is the one of `spec.login`, under another login by now."""
        return self._state.renamed(wanted)

    @property
    def last_refresh(self) -> float | None:
        """When a token was last fetched, by this process."""
        return self._state.last_refresh

    @property
    def last_validation(self) -> float | None:
        """When Twitch last confirmed the token, to this process."""
        return self._state.last_validation

    @property
    def owners(self) -> SecretOwners:
        """Whether the token Secret's owner is as the spec has it."""
        return self._secrets.owners

    @property
    def revoked_for(self) -> str:
        """Value of the last wish to end the grant that was carried out; "": none was."""
        return self._state.saved.revoke_request or self.revoked_before

    def credential(self) -> Credential | None:
        """What to sign a call with; None: nothing that lives."""
        grant, app = self.grant, self._state.app
        if app is None or grant is None or grant.expired(time.time()):
            return None
        return Credential(app.client_id, grant.access)

    def may(self, scope: str) -> bool:
        """Whether the broadcaster granted this scope."""
        return self.grant is not None and scope in (self.grant.scopes or ())

    async def reconcile(self, spec: TwitchChannelSpec) -> float | None:
        """Do what is due.

        Returns:
            When to come back; None: when a Secret changes.

        Raises:
            TransientError: To be tried again with growing pauses.
        """
        async with self._lock:
            try:
                again = await self._work(spec)
            except OperatorError as error:
                self._note(error)
                raise
            self.failure = None
            return again

    def _note(self, error: OperatorError) -> None:
        """What went wrong may pass, or a human must change what refuses the Secret."""
        if isinstance(error, NotLeading):
            return  # nothing went wrong: the leader does it
        self.failure = str(error)
        if isinstance(error, KubeError):
            refused = problems.secret_refused(error)
            if self.credential() is not None:
                self.ending = refused
            else:
                self.blocked = refused

    def recheck(self, *, anew: bool = False) -> None:
        """Validate at the next round, though the interval is not over.

        Args:
            anew: A human asks: what Twitch refused is tried once more.
        """
        state = self._state
        if anew:
            state.forget_refusals()
            state.asked = True
        elif state.last_validation and time.monotonic() > self._rechecked + _RECHECK_INTERVAL:
            self._rechecked = time.monotonic()
            state.validate_due = True

    async def renew(self, spec: TwitchChannelSpec, refused: Sensitive | None) -> bool:
        """Replace an access token that Twitch refused (or that expired: None).

        Many callers lead to one refresh.

        Returns:
            Whether there is another token now.
        """
        async with self._lock:
            saved = self._state.saved.grant
            if saved is not None and saved.access == refused:
                self._state.drop_access()
            try:
                await self._work(spec)
            except OperatorError as error:
                self._note(error)
        credential = self.credential()
        return credential is not None and credential.access != refused

    async def finish(self) -> None:
        """Wait for an exchange that is under way; its failure was told where it was asked for."""
        await self._steps.finish()

    @property
    def _leaving(self) -> bool:
        done = ("", self._state.saved.revoke_request, self.revoked_before)
        return self.revoke_request not in done

    async def _work(self, spec: TwitchChannelSpec) -> float | None:
        # The spec may have named others before.
        self._secrets.keep_only(spec)
        rest, facts = await settle(
            partial(self._facts, spec),
            partial(policy.plan, validate_interval=self._settings.validate_interval),
            partial(self._do, spec),
            unsettled="the grant does not come to rest; trying again",
        )
        now = time.time()
        self.ending, self.remedy = policy.ends(facts, now), policy.remedy(facts, now)
        self.device = policy.shown_device(facts, now)
        return await self._rest(rest)

    async def _do(self, spec: TwitchChannelSpec, step: policy.Plan, facts: GrantFacts) -> None:
        try:
            await self._steps.do(step, spec, facts.consent)
        except OperatorError:
            if not isinstance(step, policy.PollDevice):
                self.blocked = None  # what was wrong before is not what is wrong now
            raise

    async def _rest(self, rest: Rest) -> float | None:
        self.blocked = rest.blocked
        until = rest.until
        if (rest.blocked or self.ending or _FINE).reason == "ClientRejected":
            # A refused client uses no token up by asking: Twitch may have erred.
            until = min(until or math.inf, time.time() + CLIENT_INTERVAL)
        if rest.blocked is None:
            return await self._look_whether_eligible(until)
        if self._state.grant is None or self._state.dead is not None:
            self._state.user = None  # a dead grant claims no broadcaster
        return until

    async def _look_whether_eligible(self, until: float | None) -> float | None:
        """A broadcaster who is not yet an affiliate may become one any minute."""
        credential, user = self.credential(), self._state.user
        if credential is None or user is None or user.broadcaster_type:
            return until
        if time.monotonic() >= self._state.user_looked_at + self._settings.live_check_interval:
            await self._steps.look_at_user(credential)
        ahead = self._state.user_looked_at + self._settings.live_check_interval - time.monotonic()
        due = time.time() + ahead
        return due if until is None else min(until, due)

    async def _facts(self, spec: TwitchChannelSpec) -> GrantFacts:
        state = self._state
        state.meet(spec.login)
        no_app = await self._reader.read_app(spec)
        blocked = await self._reader.read_tokens(spec)
        consent = self._reader.consent(spec)
        given = await self._secrets.given(spec, consent.command)
        refusal = state.refusals.get(given.key) if isinstance(given, Input) else None
        self.refused_input = refusal if state.holding.grant is not None else None
        return GrantFacts(
            consent=consent,
            blocked=blocked,
            no_app=no_app,
            rejected=state.rejection(spec.app.secret_ref.name),
            given=given,
            refusals=state.refusals,
            holding=state.holding,
            unsaved=state.pending is not None,
            dead=state.dead,
            validated_at=None if state.validate_due else state.last_validation,
            login=state.user.login if state.user is not None else None,
            renamed=state.renamed(spec.login),
            revoke_request=self.revoke_request if self._leaving else "",
            asked=state.asked,
            polled_at=state.polled_at,
            slower=state.slower,
            jitter=self._jitter,
        )
