"""Keeps an extension's shared secrets: does the steps that `policies.rotation` plans.

What the target Secret holds is read once, when a process begins; then what this process knows
counts, so that a Secret that somebody deleted or changed is put right.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from controller.clients.extension_jwt import Extension
from controller.clients.extensions import ExtensionRefused, NotSent
from controller.clients.helix import Unauthorized
from controller.clients.kube import KubeError
from controller.clients.secret_values import text_of_key
from controller.errors import InvalidSecret, OperatorError, RateLimited, TransientError
from controller.extensions.policies import rotation
from controller.extensions.policies.rotation import Holding
from controller.extensions.target import TargetSecret, holding_of
from controller.policies.extension_secrets import (
    key_of,
)
from controller.policies.problems import Blocked, missing_secret, secret_refused
from controller.resources.common import rfc3339
from controller.runtime.owned_secrets import SecretOwners, jitter
from controller.runtime.plan_loop import settle

if TYPE_CHECKING:
    from controller.clients.extensions import Extensions
    from controller.clients.kube import Kube, Secret
    from controller.policies.extension_secrets import SharedSecret
    from controller.resources.extensionapp import ExtensionAppSpec
    from controller.runtime.resource import Resource
    from controller.runtime.secret_cache import SecretStore
    from controller.sensitive import Sensitive
    from controller.settings import Settings

    _Seen = tuple[rotation.RotationFacts, Secret | None]

__all__ = ["SecretManager"]

logger = logging.getLogger(__name__)

_MOST_STEPS = 20
_MOST_SETTLE = 30.0


class SecretManager:
    """The shared secrets of one ExtensionApp.

    Args:
        resource: The ExtensionApp.
        extensions: Twitch.
        secrets: What the named Secrets hold.
        kube: Writes the target Secret.
        settings: Intervals.

    Attributes:
        holding: What is kept of the secrets.
        problem: What is in the way; None: nothing.
        warning: What a human must change though the secrets serve on; None: nothing.
        failure: What went wrong last, if it may pass.
        stored: The target Secret holds what is kept.
        proven: Twitch took a secret that signed a call, in this process.
        revoked_before: The last request to revoke that the status tells as done.
        rotated_at: When the newest secret was made, where that was seen.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        extensions: Extensions,
        secrets: SecretStore,
        kube: Kube,
        settings: Settings,
    ) -> None:
        self._key = resource.key
        self._created = resource.created
        self._extensions = extensions
        self._secrets = secrets
        self._target = TargetSecret(resource, secrets, kube)
        self._settings = settings
        self._jitter = jitter(resource.uid)
        self._adopted = False
        self._seen_version = ""
        self._read_at: float | None = None
        self._intent = False
        self._refused: dict[Sensitive, float] = {}  # when, by `time.monotonic`
        self._refusal = ""
        self._declined: rotation.Declined | None = None
        self._wish = ""
        self._spec: ExtensionAppSpec | None = None
        self.holding = Holding()
        self.problem: Blocked | None = None
        self.warning: Blocked | None = None
        self.failure: str | None = None
        self.stored = False
        self.proven = False
        self.revoked_before = ""
        self.rotated_at: float | None = None

    @property
    def owners(self) -> SecretOwners:
        """Whether the target Secret's owner is as the spec has it."""
        return self._target.owners

    def recheck(self) -> None:
        """Ask Twitch in the next round, also for what it refused before."""
        self._read_at, self._refused, self._declined = None, {}, None

    def look(self) -> None:
        """Ask Twitch in the next round: a call that a secret signed was refused."""
        self._read_at = None

    @property
    def secrets(self) -> tuple[SharedSecret, ...]:
        """All that Twitch told of, or, until it did, what the target Secret holds."""
        return self.holding.secrets

    @property
    def handled(self) -> str:
        """The last request to revoke that was carried out."""
        holding = self.holding
        return (holding.replaced and holding.revoke_request) or self.revoked_before

    def next_rotation(self, spec: ExtensionAppSpec) -> float | None:
        """When the next secret will be made; None: nothing is known yet."""
        if not self.holding.secrets:
            return None
        interval = spec.secret.rotation.interval
        return rotation.next_rotation(self.holding, self._created, interval, self._jitter)

    async def reconcile(self, spec: ExtensionAppSpec, revoke_request: str) -> float | None:
        """Do what is due.

        Args:
            spec: What the user wants.
            revoke_request: The annotation that asks to take all secrets out of service; "": none.

        Returns:
            When to come back (seconds since the epoch); None: when something changes.

        Raises:
            OperatorError: To be tried again with growing pauses.
        """
        request = "" if revoke_request == self.revoked_before else revoke_request
        try:
            until = await self._work(spec, request)
        except OperatorError as error:
            self.failure = str(error)
            if isinstance(error, KubeError):
                self.problem = secret_refused(error)
            raise
        self.failure = None
        return until

    async def _work(self, spec: ExtensionAppSpec, request: str) -> float | None:
        if spec != self._spec:
            # What Twitch said to other calls, or to those in another's name, says nothing of these.
            self.recheck()
            self._spec = spec

        async def look() -> _Seen:
            secret = await self._look(spec)
            bootstrap = await self._bootstrap(spec)
            self.stored = secret is not None and self._target.holds(spec, secret, self.holding)
            return self._facts(spec, secret, bootstrap, request), secret

        rest, _ = await settle(
            look,
            lambda seen, now: rotation.plan(seen[0], now),
            partial(self._do, spec),
            most=_MOST_STEPS,
            unsettled=f"Secret {spec.secret.target_secret_name} changes whenever it is written",
        )
        self.problem, self.warning = rest.blocked, rest.warning
        return rest.until

    async def _do(self, spec: ExtensionAppSpec, step: rotation.Plan, seen: _Seen) -> None:
        if isinstance(step, rotation.Write):
            if (stored := await self._target.write(spec, seen[1], self.holding)) is not None:
                self._seen_version = stored.resource_version
        elif isinstance(step, rotation.Read):
            await self._read(spec, step.signer)
        elif isinstance(step, rotation.Revoke):
            self._revoke()
        elif isinstance(step, rotation.Begin):
            self.holding = rotation.begun(self.holding, time.time())
            self._intent = True
        elif isinstance(step, rotation.Forget):
            self.holding = rotation.not_made(self.holding)
        elif isinstance(step, rotation.Create):
            await self._create(spec, step.signer)

    async def _look(self, spec: ExtensionAppSpec) -> Secret | None:
        """Read the target Secret; what another process of the operator wrote is taken over."""
        name = spec.secret.target_secret_name
        secret = await self._target.read(spec)
        if secret is None and self._seen_version:
            logger.warning("%s: Secret %s was deleted; writing it again", self._key, name)
            self._seen_version = ""
        if secret is None or self._target.foreign(spec, secret) is not None:
            self._adopted = self._adopted or secret is None
            return secret
        if secret.resource_version != self._seen_version:
            found = holding_of(secret)
            if not self._adopted:
                self.holding = found
            elif not self._target.holds(spec, secret, self.holding):
                logger.warning("%s: somebody changed Secret %s; it is put right", self._key, name)
            if {s.content for s in found.secrets} - {s.content for s in self.holding.secrets}:
                self._read_at = None  # Twitch tells which of them there are
            self._adopted = True
            self._seen_version = secret.resource_version
        return secret

    async def _bootstrap(self, spec: ExtensionAppSpec) -> Sensitive | Blocked:
        reference = spec.secret.bootstrap_secret_ref
        field = "spec.secret.bootstrapSecretRef"
        secret = await self._secrets.get(self._key.namespace, reference.name, self._key)
        if secret is None:
            blocked = missing_secret(field, reference.name, self._key.namespace, reference.key)
            told = f"{blocked.message}, a shared secret from the extension's console"
            return replace(blocked, message=told)
        try:
            content = text_of_key(secret, reference.name, reference.key)
        except InvalidSecret as error:
            return Blocked("InvalidSecret", f"{field}: {error}", human=True)
        if key_of(content) is None:
            message = (
                f"{field}: the key {reference.key} of Secret {reference.name} is not a base64"
                " string: copy a shared secret from the extension's console, letter by letter"
            )
            return Blocked("InvalidSecret", message, human=True)
        return content

    def _facts(
        self,
        spec: ExtensionAppSpec,
        secret: Secret | None,
        bootstrap: Sensitive | Blocked,
        request: str,
    ) -> rotation.RotationFacts:
        self._wish = request
        self._refused = {
            content: at
            for content, at in self._refused.items()
            if time.monotonic() < at + rotation.REFUSED_FOR
        }
        delay, timeout = spec.secret.rotation.activation_delay, self._settings.call_timeout
        return rotation.RotationFacts(
            holding=self.holding,
            stored=self.stored,
            foreign=self._target.foreign(spec, secret) if secret is not None else None,
            bootstrap=bootstrap,
            refused=self._refused,
            refusal=self._refusal,
            read_at=self._read_at,
            intent=self._intent,
            revoke_request=request,
            created=self._created,
            interval=spec.secret.rotation.interval,
            jitter=self._jitter,
            check_interval=self._settings.extension_check_interval,
            settle=min(_MOST_SETTLE, max(2 * timeout, delay)),
            declined=self._declined,
        )

    async def _read(self, spec: ExtensionAppSpec, signer: Sensitive) -> None:
        asked_at = time.time()
        try:
            told = await self._extensions.secrets(_extension(spec, signer))
        except Unauthorized as error:
            self._refused[signer], self._refusal = time.monotonic(), str(error)
            return
        except TransientError:
            if self._wish in ("", self.holding.revoke_request) or not self.holding.secrets:
                raise
            # Twitch is away: what is known goes out of service all the same.
            self._revoke()
            return
        known = {secret.content for secret in self.holding.secrets}
        begun = self.holding.begun
        self.holding = rotation.learned(self.holding, told, time.time())
        if self.revoked_before and not self.holding.revoke_request:
            self.holding = rotation.recalled(self.holding, self.revoked_before)
        self._read_at, self._refused, self._refusal = asked_at, {}, ""
        self.proven = True
        if begun is not None and self.holding.begun is None:
            self._note_new(known, "found after its answer was lost")

    def _revoke(self) -> None:
        logger.warning("%s: all known shared secrets are taken out of service", self._key)
        self.holding = rotation.revoked(self.holding, self._wish)
        self._declined = None  # whoever asks for a new one does not wait for the next try

    async def _create(self, spec: ExtensionAppSpec, signer: Sensitive) -> None:
        self._intent = False
        known = {secret.content for secret in self.holding.secrets}
        delay = spec.secret.rotation.activation_delay
        try:
            told = await self._extensions.create_secret(_extension(spec, signer), delay)
        except (Unauthorized, ExtensionRefused) as error:
            logger.warning("%s: %s", self._key, error)
            # Whether Twitch does not take the secret, or only not this call, a look tells.
            self._declined = rotation.Declined(signer, time.time(), str(error))
            self._read_at = None
            self.holding = rotation.not_made(self.holding)
            return
        except (NotSent, RateLimited):
            self.holding = rotation.not_made(self.holding)
            raise
        if not {secret.content for secret in told} - known:
            msg = "Twitch's answer to a new secret lacks it; it is looked for"
            raise TransientError(msg)
        self.holding = rotation.made(self.holding, told, time.time())
        self._read_at = time.time()
        self.proven = True
        self._note_new(known, "made")

    def _note_new(self, known: set[Sensitive], how: str) -> None:
        self.rotated_at, self._declined = time.time(), None
        for secret in self.holding.secrets:
            if secret.content not in known:
                active = rfc3339(round(secret.active))
                told = "%s: shared secret %s was %s; it is active from %s"
                logger.info(told, self._key, secret.fingerprint, how, active)


def _extension(spec: ExtensionAppSpec, signer: Sensitive) -> Extension:
    return Extension(spec.client_id, spec.owner_id, signer)
