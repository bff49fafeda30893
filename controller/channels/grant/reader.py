"""Reads what a channel's spec names for its grant: the application, and the token Secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from controller.channels.grant import token_secret as tokens
from controller.channels.policies.grant_facts import Consent, Holding
from controller.policies.problems import Blocked

if TYPE_CHECKING:
    from controller.channels.grant.secrets import GrantSecrets
    from controller.channels.grant.state import GrantState
    from controller.resources.twitchchannel import TwitchChannelSpec
    from controller.runtime.resource import Key

__all__ = ["GrantReader"]

logger = logging.getLogger(__name__)


class GrantReader:
    """Takes into the state of a grant what others wrote.

    Args:
        key: The channel.
        state: What it reads goes there.
        secrets: Reads.
    """

    __slots__ = ("_key", "_secrets", "_state")  # ten thousand channels have one

    def __init__(self, key: Key, state: GrantState, secrets: GrantSecrets) -> None:
        self._key = key
        self._state = state
        self._secrets = secrets

    def consent(self, spec: TwitchChannelSpec) -> Consent:
        """Where a (new) consent comes from."""
        app = self._state.app
        return Consent(
            way=spec.authorization.way,
            command=f"kubectl twitch authorize -n {self._key.namespace} {self._key.name}",
            scopes=spec.wanted_scopes,
            client_id=app.client_id if app is not None else "",
            login=spec.login,
        )

    async def read_app(self, spec: TwitchChannelSpec) -> Blocked | None:
        """Read the application; returns why there is none to use."""
        app = await self._secrets.application(spec)
        if isinstance(app, Blocked):
            self._state.app = None
            return app
        if self._state.changes(app):
            told = "%s: Secret %s (spec.app.secretRef) has another client-id or client-secret now"
            logger.warning(told, self._key, spec.app.secret_ref.name)
        self._state.use(app)
        return None

    async def read_tokens(self, spec: TwitchChannelSpec) -> Blocked | None:
        """Read the token Secret; returns why it cannot be used."""
        state = self._state
        secret = await self._secrets.stored(spec)
        if isinstance(secret, Blocked):
            return secret
        if secret is None:
            # Somebody removed it: what is in hand is written anew.
            if state.holding != Holding():
                state.pending, state.saved = state.holding, Holding()
            return None
        if state.pending is None:
            state.adopt(tokens.from_secret(secret))
            if not self._secrets.is_owned_as_wanted(secret, spec):
                state.pending = state.saved
        return None
