"""What a channel's grant needs, done: each step is a call to Twitch, or a write of the Secret.

A step never decides what comes next: it leaves what it learned in the state.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.channels.policies.grant_facts import Device, Grant, Holding, Input, RevokedGrant
from controller.channels.policies.grant_plan import (
    Import,
    PollDevice,
    Refresh,
    Revoke,
    StartDevice,
    Store,
    Validate,
)
from controller.clients.helix import Credential, Unauthorized
from controller.clients.identity import DeviceWait
from controller.errors import (
    ClientRejected,
    GrantDoubted,
    GrantRevoked,
    OperatorError,
    RedirectRefused,
    TransientError,
)
from controller.policies import problems

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from controller.channels.grant.secrets import GrantSecrets
    from controller.channels.grant.state import GrantState
    from controller.channels.metrics import ChannelMetrics
    from controller.channels.policies.grant_facts import Consent
    from controller.channels.policies.grant_plan import Plan
    from controller.clients.helix import Helix, User
    from controller.clients.identity import Application, Identity, Tokens
    from controller.resources.twitchchannel import TwitchChannelSpec
    from controller.runtime.resource import Key
    from controller.sensitive import Sensitive

__all__ = ["GrantSteps"]

logger = logging.getLogger(__name__)

_CLOCKS_AGREE = 60.0
_SLOW_DOWN = 5.0


class GrantSteps:
    """Does the steps of one channel's grant.

    Args:
        key: The channel.
        state: What it learns goes there.
        identity: Twitch's OAuth.
        helix: Twitch's API.
        secrets: Keeps the tokens.
        metrics: Counts.
    """

    def __init__(
        self,
        key: Key,
        state: GrantState,
        *,
        identity: Identity,
        helix: Helix,
        secrets: GrantSecrets,
        metrics: ChannelMetrics,
    ) -> None:
        self._key = key
        self._state = state
        self._identity = identity
        self._helix = helix
        self._secrets = secrets
        self._metrics = metrics
        self._exchange: asyncio.Task[None] | None = None

    async def do(self, step: Plan, spec: TwitchChannelSpec, consent: Consent) -> None:
        """Do one step.

        Raises:
            OperatorError: To be tried again with growing pauses.
        """
        if isinstance(step, Store):
            await self._store(spec)
            return
        app = self._state.app
        if app is None:
            msg = "a step needs the application"
            raise AssertionError(msg)
        try:
            if isinstance(step, Validate):
                await self._validate(app)
            else:
                await self._to_the_end(self._exchange_of(step, app, spec, consent))
        except ClientRejected as error:
            self._state.reject(app, str(error))

    async def finish(self) -> None:
        """Wait for an exchange that is under way; its failure was told where it was asked for."""
        if self._exchange is not None:
            await asyncio.gather(self._exchange, return_exceptions=True)

    async def look_at_user(self, credential: Credential) -> User:
        """Ask whose token it is, and whether Twitch runs commercials for that user."""
        self._state.user_looked_at = time.monotonic()
        self._state.user = await self._helix.own_user(credential)
        return self._state.user

    async def _to_the_end(self, exchange: Coroutine[None, None, None]) -> None:
        """Do not let a cancellation come between the answer with a new token and its Secret."""
        self._exchange = asyncio.get_running_loop().create_task(exchange)
        await asyncio.shield(self._exchange)

    async def _exchange_of(
        self, step: Plan, app: Application, spec: TwitchChannelSpec, consent: Consent
    ) -> None:
        """A step that may cost a one-time token or code: not before the answer can be kept."""
        if not await self._secrets.can_store(spec, self._state.holding):
            return  # not as it was read, or not ours any more: the next look tells
        if isinstance(step, Import):
            await self._import(app, step.given, spec, consent)
        elif isinstance(step, Refresh):
            await self._refresh(app, spec)
        elif isinstance(step, StartDevice):
            await self._start_device(app, spec, consent)
        elif isinstance(step, PollDevice):
            await self._poll_device(app, spec, consent)
        elif isinstance(step, Revoke):
            await self._revoke(app, spec, step.request)

    async def _import(
        self, app: Application, given: Input, spec: TwitchChannelSpec, consent: Consent
    ) -> None:
        state, remedy = self._state, problems.consent_anew(consent.command)
        try:
            if given.redirect_uri is None:
                answer = await self._refreshed(app, given.credential)
            else:
                answer = await self._certain(
                    given.credential,
                    self._identity.exchange_code(app, given.credential, given.redirect_uri),
                )
        except RedirectRefused as error:
            state.refusals[given.key] = problems.redirect_refused(str(error))
        except GrantRevoked as error:
            by_token = given.redirect_uri is None
            refused = problems.token_refused if by_token else problems.code_refused
            state.refusals[given.key] = refused(str(error), remedy)
        else:
            if stranger := await self._stranger(answer, consent):
                state.refusals[given.key] = problems.strangers(stranger, consent.login or "")
                return
            used = given.credential if given.redirect_uri is None else None
            base = replace(state.saved, grant=None, device=None, input_sha256=given.sha256)
            await self._take(answer, used, base, spec)
            return
        logger.warning("%s: what the input Secret gives is refused", self._key)

    async def _stranger(self, answer: Tokens, consent: Consent) -> str:
        """Login of somebody else whose consent would take the place of the right one; else ""."""
        state = self._state
        grant, known = state.saved.grant, state.known
        if known is None or known.login != consent.login:
            return ""  # the grant in hand is not known to be the right one's
        if grant is None or state.dead is not None or grant.expired(time.time()):
            return ""
        try:
            told = await self._identity.validate(answer.access)
        except OperatorError:
            return ""  # to be found out once the tokens are kept
        return told.login if told is not None and told.user_id != known.id else ""

    async def _refresh(self, app: Application, spec: TwitchChannelSpec) -> None:
        saved = self._state.saved
        if saved.grant is None:
            return
        try:
            answer = await self._refreshed(app, saved.grant.refresh)
        except GrantRevoked as error:
            self._state.dead = RevokedGrant(str(error), time.time())
            logger.warning("%s: Twitch calls the grant dead", self._key)
            return
        await self._take(answer, saved.grant.refresh, saved, spec)

    async def _certain(
        self, credential: Sensitive, exchange: Coroutine[None, None, Tokens]
    ) -> Tokens:
        """Exchange a token or a code; one that is refused again and again is of no use."""
        try:
            answer = await exchange
        except GrantDoubted as error:
            if self._state.doubt(credential):
                raise GrantRevoked(str(error)) from None
            raise
        self._state.doubts.clear()
        return answer

    async def _refreshed(self, app: Application, token: Sensitive) -> Tokens:
        result = "Succeeded"
        try:
            return await self._certain(token, self._identity.refresh(app, token))
        except ClientRejected:
            result = "ClientRejected"
            raise
        except GrantRevoked:
            result = "Refused"
            raise
        except OperatorError:
            result = "Failed"
            raise
        finally:
            self._metrics.token_refreshes.labels(result).inc()

    async def _start_device(
        self, app: Application, spec: TwitchChannelSpec, consent: Consent
    ) -> None:
        told = await self._identity.start_device(app, consent.scopes)
        device = Device(
            code=told.device_code,
            user_code=told.user_code,
            verification_uri=told.verification_uri,
            expires_at=math.floor(time.time() + told.expires_in),  # as the Secret tells it
            interval=told.interval,
            client_id=app.client_id,
            scopes=consent.scopes,
        )
        state = self._state
        state.polled_at, state.slower = time.time(), 0.0
        state.pending = replace(state.saved, device=device)
        await self._store(spec)  # shown only once it survives a restart

    async def _poll_device(
        self, app: Application, spec: TwitchChannelSpec, consent: Consent
    ) -> None:
        state = self._state
        device = state.saved.device
        if device is None:
            return
        try:
            answer = await self._identity.poll_device(app, device.code, device.scopes)
        finally:
            state.polled_at = time.time()
        if answer is DeviceWait.SLOW_DOWN:
            state.slower += _SLOW_DOWN
        elif answer in (DeviceWait.EXPIRED, DeviceWait.DENIED):
            logger.info("%s: the device code is of no use any more (%s)", self._key, answer)
            await self._start_device(app, spec, consent)
        elif not isinstance(answer, DeviceWait):
            state.asked = False
            without = replace(state.saved, device=None)
            if stranger := await self._stranger(answer, consent):
                logger.warning("%s: the consent of %s is not used", self._key, stranger)
                state.pending = without
                await self._store(spec)
            else:
                await self._take(answer, None, replace(without, grant=None), spec)

    async def _revoke(self, app: Application, spec: TwitchChannelSpec, request: str) -> None:
        """End the tokens at Twitch, then forget them; what was given is not taken again."""
        state = self._state
        grant = state.saved.grant
        if grant is not None:
            try:
                await self._identity.revoke(app, grant.access)
                # Twitch promises it for access tokens only: for the other it costs nothing to try.
                await self._identity.revoke(app, grant.refresh)
            except ClientRejected as error:
                # Without its application a grant is of no use to anybody.
                logger.warning("%s: not revoked at Twitch: %s", self._key, error)
        given = await self._secrets.given(spec, "")
        spent = given.sha256 if isinstance(given, Input) else state.saved.input_sha256
        state.user, state.dead, state.asked, state.last_validation = None, None, False, None
        state.pending = Holding(input_sha256=spent, revoke_request=request)
        state.saved = replace(state.saved, grant=None, device=None)
        await self._store(spec)
        logger.info("%s: the grant was revoked, as was asked", self._key)

    async def _take(
        self, answer: Tokens, used: Sensitive | None, base: Holding, spec: TwitchChannelSpec
    ) -> None:
        """Keep new tokens: in the Secret first, then in use.

        Args:
            answer: What Twitch gave.
            used: The refresh token that goes on where the answer has none.
            base: What the Secret keeps beside them; its grant is the one that was refreshed, whose
                scopes go on where the answer has none. A new consent inherits nothing.
            spec: Of the channel.
        """
        state, now = self._state, time.time()
        refresh = answer.refresh or used
        if refresh is None:
            msg = "Twitch gave no refresh token: the grant would end with the access token"
            raise TransientError(msg)
        old = base.grant.scopes if base.grant is not None else None
        grant = Grant(
            access=answer.access,
            refresh=refresh,
            expires_at=math.floor(now + answer.expires_in),  # as the Secret tells it
            lifetime=answer.expires_in,
            scopes=answer.scopes if answer.scopes is not None else old,
        )
        state.pending = replace(base, grant=grant)
        state.dead, state.last_refresh, state.last_validation = None, now, None
        await self._store(spec)

    async def _store(self, spec: TwitchChannelSpec) -> None:
        """Write what is pending; a crash before this loses a rotated refresh token."""
        state = self._state
        pending = state.pending
        if pending is not None and await self._secrets.store(spec, pending):
            state.saved, state.pending = pending, None

    async def _validate(self, app: Application) -> None:
        state = self._state
        grant = state.saved.grant
        if grant is None:
            return
        try:
            told = await self._identity.validate(grant.access)
        except OperatorError:
            self._metrics.token_validations.labels("Failed").inc()
            raise
        self._metrics.token_validations.labels("Refused" if told is None else "Succeeded").inc()
        if told is None:
            state.drop_access()
            return
        if told.client_id != app.client_id:
            state.drop_access()
            told_of = "the grant was given to another application than client-id of spec.app names"
            state.dead = RevokedGrant(told_of, time.time())
            return
        try:
            await self.look_at_user(Credential(app.client_id, grant.access))
        except Unauthorized:
            state.drop_access()
            return
        expires_at = _sooner(grant.expires_at, told.expires_in)
        scopes = told.scopes if told.scopes is not None else grant.scopes or ()
        known = replace(grant, scopes=scopes, expires_at=expires_at)
        state.saved = replace(state.saved, grant=known)
        state.last_validation, state.validate_due = time.time(), False


def _sooner(expires_at: float, expires_in: float) -> float:
    """Believe Twitch when a token ends clearly sooner than was thought (0: it never ends)."""
    if expires_in <= 0:
        return expires_at
    told = math.floor(time.time() + expires_in)
    return told if told < expires_at - _CLOCKS_AGREE else expires_at
