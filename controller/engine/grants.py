"""Keeps one channel's grant: does what `policies.grants.plan` says, and remembers the outcome.

The operator is the only writer of the token Secret. A rotated refresh token is in the Secret before
the access token that came with it is used; until then the old one serves as long as it lives.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.clients.helix import Credential, Unauthorized
from controller.engine import tokens
from controller.errors import (
    ClientRejected,
    GrantRevoked,
    OperatorError,
    TransientError,
)
from controller.policies import grants as policy

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from controller.clients.helix import Helix, User
    from controller.clients.identity import Application, Identity, Tokens
    from controller.clients.kube import Secret
    from controller.engine.grant_secrets import GrantSecrets
    from controller.engine.resource import Key
    from controller.resources.twitchchannel import TwitchChannelSpec
    from controller.sensitive import Sensitive

__all__ = ["GrantKeeper"]

logger = logging.getLogger(__name__)

_MOST_STEPS = 8
_RECHECK_INTERVAL = 10.0
_CLOCKS_AGREE = 60.0
_CLIENT_INTERVAL = 600.0


class GrantKeeper:
    """One channel's tokens.

    Attributes:
        blocked: Why there is no grant to use; None: there is, or nothing was tried yet.
        failure: What passed wrong last, if it may pass; None: nothing.
        refused_input: Twitch's words about a new refresh token, while the former grant is in use.
        user: The broadcaster, as Twitch tells.
        last_refresh: When a token was last fetched, by this process.
        last_validation: When Twitch last confirmed the token, to this process.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        key: Key,
        uid: str,
        *,
        identity: Identity,
        helix: Helix,
        secrets: GrantSecrets,
        validate_interval: float,
        eligible_interval: float,
    ) -> None:
        self._key = key
        self._identity = identity
        self._helix = helix
        self._secrets = secrets
        self._validate_interval = validate_interval
        self._eligible_interval = eligible_interval
        self._jitter = tokens.jitter(uid)
        self._lock = asyncio.Lock()
        self._app: Application | None = None
        self._judged_app: Application | None = None
        self._rejected_app: Application | None = None
        self._rejected_at = 0.0
        self._exchange: asyncio.Task[None] | None = None
        self._rejection = ""
        self._saved: policy.Grant | None = None
        self._pending: policy.Grant | None = None
        self._refused: dict[str, str] = {}
        self._revoked: str | None = None
        self._user_looked_at = 0.0
        self._rechecked = 0.0
        self._validate_due = False
        self.blocked: policy.Blocked | None = None
        self.failure: str | None = None
        self.refused_input: str | None = None
        self.user: User | None = None
        self.last_refresh: float | None = None
        self.last_validation: float | None = None

    @property
    def grant(self) -> policy.Grant | None:
        """The grant that calls may be signed with."""
        pending, saved = self._pending, self._saved
        if pending is not None and saved is not None and pending.refresh == saved.refresh:
            return pending  # nothing rotated: the Secret would not lose anything
        return saved

    def credential(self) -> Credential | None:
        """What to sign a call with; None: nothing that lives."""
        grant = self.grant
        if self._app is None or grant is None or grant.expired(time.time()):
            return None
        return Credential(self._app.client_id, grant.access)

    def may(self, scope: str) -> bool:
        """Whether the broadcaster granted this scope."""
        return self.grant is not None and scope in self.grant.scopes

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
                self.failure = str(error)
                raise
            self.failure = None
            return again

    def recheck(self, *, anew: bool = False) -> None:
        """Validate at the next round, though the interval is not over.

        Args:
            anew: A human asks: what Twitch refused is tried once more.
        """
        if anew:
            self._forget_refusals()
        elif self.last_validation is not None and time.time() > self._rechecked + _RECHECK_INTERVAL:
            self._rechecked = time.time()
            self._validate_due = True

    async def renew(self, spec: TwitchChannelSpec, refused: Sensitive | None) -> bool:
        """Replace an access token that Twitch refused (or that expired: None).

        Many callers lead to one refresh.

        Returns:
            Whether there is another token now.
        """
        async with self._lock:
            if self._saved is not None and self._saved.access == refused:
                self._saved = self._saved.without_access()
            try:
                await self._work(spec)
            except OperatorError as error:
                self.failure = str(error)
        credential = self.credential()
        return credential is not None and credential.access != refused

    async def _work(self, spec: TwitchChannelSpec) -> float | None:
        # The spec may have named others before.
        self._secrets.keep_only(spec)
        for _ in range(_MOST_STEPS):
            facts = await self._facts(spec)
            step = policy.plan(facts, time.time(), self._validate_interval)
            if isinstance(step, policy.Idle):
                self.blocked = None
                return min(step.until, await self._look_whether_eligible(step.until))
            if isinstance(step, policy.Blocked):
                self.blocked = step
                # A refused client uses no token up by asking: Twitch may have erred.
                return time.time() + _CLIENT_INTERVAL if self._rejected_app is not None else None
            self.blocked = None
            await self._do(step, spec)
        msg = "the grant does not come to rest; trying again"
        raise TransientError(msg)

    async def _look_whether_eligible(self, otherwise: float) -> float:
        """A broadcaster who is not yet an affiliate may become one any minute."""
        credential = self.credential()
        if credential is None or self.user is None or self.user.broadcaster_type:
            return otherwise
        now = time.time()
        if now >= self._user_looked_at + self._eligible_interval:
            self.user = await self._own_user(credential)
        return self._user_looked_at + self._eligible_interval

    async def _own_user(self, credential: Credential) -> User:
        self._user_looked_at = time.time()
        return await self._helix.own_user(credential)

    async def _do(self, step: policy.Plan, spec: TwitchChannelSpec) -> None:
        app = self._app
        if app is None:
            msg = "a step needs the application"
            raise AssertionError(msg)
        try:
            if isinstance(step, policy.Import):
                await self._to_the_end(self._import(app, step.token, spec))
            elif isinstance(step, policy.Refresh):
                await self._to_the_end(self._refresh(app, spec))
            elif isinstance(step, policy.Store):
                await self._store(spec)
            elif isinstance(step, policy.Validate):
                await self._validate(app)
        except ClientRejected as error:
            self._reject(app, str(error))

    async def _to_the_end(self, exchange: Coroutine[None, None, None]) -> None:
        """Do not let a cancellation come between the answer with a new token and its Secret."""
        self._exchange = asyncio.get_running_loop().create_task(exchange)
        await asyncio.shield(self._exchange)

    async def finish(self) -> None:
        """Wait for an exchange that is under way; its failure was told where it was asked for."""
        if self._exchange is not None:
            await asyncio.gather(self._exchange, return_exceptions=True)

    def _reject(self, app: Application, told: str) -> None:
        self._rejected_app, self._rejection = app, told
        self._rejected_at = time.time()

    async def _facts(self, spec: TwitchChannelSpec) -> policy.Facts:
        blocked = await self._read_app(spec) or await self._read_tokens(spec)
        given = await self._secrets.refresh_token(spec)
        problem, token = (given, None) if isinstance(given, policy.Blocked) else (None, given)
        refused = self._refused.get(token.sha256()) if token is not None else None
        grant = self._pending or self._saved
        self.refused_input = refused if grant is not None else None
        return policy.Facts(
            blocked=blocked,
            input_problem=problem,
            input_token=token,
            refused_inputs=frozenset(self._refused),
            grant=grant,
            revoked=self._revoked if grant is not None else refused,
            unsaved=self._pending is not None,
            validated_at=None if self._validate_due else self.last_validation,
            jitter=self._jitter,
        )

    async def _read_app(self, spec: TwitchChannelSpec) -> policy.Blocked | None:
        app = await self._secrets.application(spec)
        if isinstance(app, policy.Blocked):
            self._app = None
            return app
        self._use(app)
        if self._rejected_app is None:
            return None
        if time.time() >= self._rejected_at + _CLIENT_INTERVAL:
            self._rejected_app = None
            return None
        return tokens.client_rejected(self._rejection, spec.app.secret_ref.name)

    def _use(self, app: Application) -> None:
        """What Twitch refused to another application, it may grant to this one."""
        if self._judged_app != app:
            self._judged_app = app
            self._forget_refusals()
        self._app = app

    def _forget_refusals(self) -> None:
        self._refused.clear()
        self._revoked, self._rejected_app, self.last_validation = None, None, None

    async def _read_tokens(self, spec: TwitchChannelSpec) -> policy.Blocked | None:
        secret = await self._secrets.stored(spec)
        if isinstance(secret, policy.Blocked):
            return secret
        if secret is None:
            # Somebody removed it: what is in hand is written anew.
            self._pending, self._saved = self._pending or self._saved, None
            return None
        if self._pending is None:
            self._adopt_news(secret)
            if self._saved is not None and not self._secrets.is_owned_as_wanted(secret, spec):
                self._pending = self._saved
        return None

    def _adopt_news(self, secret: Secret) -> bool:
        """Take over a grant that another wrote: a former process, or another replica."""
        stored = tokens.from_secret(secret)
        if stored is None or (self._saved is not None and stored.refresh == self._saved.refresh):
            return False
        self._saved, self._revoked, self.last_validation = stored, None, None
        return True

    async def _import(self, app: Application, token: Sensitive, spec: TwitchChannelSpec) -> None:
        try:
            answer = await self._identity.refresh(app, token)
        except GrantRevoked as error:
            self._refused[token.sha256()] = str(error)
            logger.warning("%s: the refresh token of the input Secret is refused", self._key)
            return
        self._revoked = None
        await self._take(answer, token, token.sha256(), spec)

    async def _refresh(self, app: Application, spec: TwitchChannelSpec) -> None:
        secret = await self._secrets.stored(spec, fresh=True)
        if isinstance(secret, policy.Blocked):
            return  # not ours any more: no new token could be kept; the next look tells
        grant = self._saved
        if grant is None or (secret is not None and self._adopt_news(secret)):
            return
        try:
            answer = await self._identity.refresh(app, grant.refresh)
        except GrantRevoked as error:
            self._revoked = str(error)
            logger.warning("%s: Twitch calls the grant dead", self._key)
            return
        await self._take(answer, grant.refresh, grant.input_sha256, spec)

    async def _take(
        self, answer: Tokens, used: Sensitive, input_sha256: str, spec: TwitchChannelSpec
    ) -> None:
        now = time.time()
        old = self._saved.scopes if self._saved is not None else ()
        self._pending = policy.Grant(
            access=answer.access,
            refresh=answer.refresh or used,
            expires_at=math.floor(now + answer.expires_in),  # as the Secret tells it
            lifetime=answer.expires_in,
            scopes=answer.scopes if answer.scopes is not None else old,
            input_sha256=input_sha256,
        )
        self.last_refresh, self.last_validation = now, None
        await self._store(spec)

    async def _store(self, spec: TwitchChannelSpec) -> None:
        """Write the pending grant; a crash before this loses a rotated refresh token."""
        pending = self._pending
        if pending is not None and await self._secrets.store(spec, pending):
            self._saved, self._pending = pending, None

    async def _validate(self, app: Application) -> None:
        grant = self._saved
        if grant is None:
            return
        told = await self._identity.validate(grant.access)
        if told is None:
            self._saved = grant.without_access()
            return
        if told.client_id != app.client_id:
            told_of = "the grant was given to another application than client-id names"
            self._reject(app, told_of)
            return
        try:
            self.user = await self._own_user(Credential(app.client_id, grant.access))
        except Unauthorized:
            self._saved = grant.without_access()
            return
        self._saved = replace(
            grant, scopes=told.scopes, expires_at=_sooner(grant.expires_at, told.expires_in)
        )
        self.last_validation = time.time()
        self._validate_due = False


def _sooner(expires_at: float, expires_in: float) -> float:
    """Believe Twitch when a token ends clearly sooner than was thought (0: it never ends)."""
    if expires_in <= 0:
        return expires_at
    told = math.floor(time.time() + expires_in)
    return told if told < expires_at - _CLOCKS_AGREE else expires_at
