"""An ExtensionApp that runs: its secrets, its configuration, its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.clients.extension_jwt import Extension
from controller.extensions.policies.conditions import ExtensionFacts, extension_findings
from controller.extensions.policies.rotation import revocation_ends
from controller.policies.extension_secrets import signing_secret
from controller.policies.problems import Blocked
from controller.resources.common import InvalidSpec
from controller.resources.extensionapp import (
    ExtensionAppSpec,
    ExtensionAppStatus,
    ExtensionSecret,
    SecretState,
)
from controller.resources.kind import REVOKE_REQUESTED_AT
from controller.runtime.conditions import to_conditions
from controller.runtime.resource import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.extensions.configuration import ConfigurationManager
    from controller.extensions.secrets import SecretManager
    from controller.policies.extension_secrets import SharedSecret
    from controller.policies.findings import Finding
    from controller.runtime.resource import Resource

__all__ = ["ExtensionApp"]


class ExtensionApp:
    """One extension.

    Args:
        resource: As the API server holds it.
        secret_manager: Its secrets.
        configuration: Its configuration segments.
        least_delay: Seconds of the shortest activation delay (MIN_ACTIVATION_DELAY).

    Attributes:
        resource: As the API server holds it.
        spec: Parsed; None where it cannot be used.
        problem: Why it cannot.
        secret_manager: Its secrets.
        configuration: Its configuration segments.
        conflict: The ExtensionApp that has this client id.
        gateway: Whether the gateway can serve it; None: it is not asked to, or not looked at.
        stands_by: Another process keeps its configuration.
        failures: How many rounds in a row went wrong.
        concluded: A first round has ended, so that there is something to tell.
        handled: The last request to reconcile that a round has answered.
        status: As last written, or as found.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        secret_manager: SecretManager,
        configuration: ConfigurationManager,
        least_delay: float,
    ) -> None:
        self.secret_manager = secret_manager
        self.configuration = configuration
        self._least_delay = least_delay
        self.conflict: str | None = None
        self.gateway: Finding | None = None
        self.concluded = False
        self.stands_by = False
        self.failures = 0
        self.status: ExtensionAppStatus
        self.handled: str | None
        self._remember(resource)
        self.resource = resource
        self.spec: ExtensionAppSpec | None = None
        self.problem: Blocked | None = None
        self.update(resource)

    def _remember(self, resource: Resource) -> None:
        """Take what a former process wrote to the status."""
        self.status = ExtensionAppStatus.from_status(resource.status)
        self.handled = self.status.last_handled_reconcile_at
        self.secret_manager.revoked_before = self.status.last_handled_revoke_at or ""
        self.secret_manager.rotated_at = self.status.last_rotation_time

    def recall(self, resource: Resource) -> None:
        """Take over what another process wrote to the status; nothing of this one is under way."""
        self._remember(resource)
        self.configuration.recall(self.status.configuration)
        self.resource = resource.kept()

    def update(self, resource: Resource) -> None:
        """Take a new state of the resource; what has changed is held against what Twitch has."""
        if resource.generation != self.resource.generation:
            self.configuration.recheck()
        self.resource = resource.kept()
        self.spec, self.problem = None, None
        try:
            spec = ExtensionAppSpec.from_spec(resource.spec)
        except InvalidSpec as error:
            self.problem = Blocked("InvalidSpec", str(error), human=True)
            return
        delay = spec.secret.rotation.activation_delay
        if delay < self._least_delay:
            message = (
                f"spec.secret.rotation.activationDelay is {delay:g}s, and must be at least"
                f" {self._least_delay:g}s (the operator's setting MIN_ACTIVATION_DELAY; Twitch"
                " takes none below 300s)"
            )
            self.problem = Blocked("InvalidSpec", message, human=True)
            return
        self.spec = spec

    def recheck(self) -> None:
        """Somebody asked: look at all that Twitch has, and try again what it refused."""
        self.secret_manager.recheck()
        self.configuration.recheck()

    @property
    def revoke_request(self) -> str:
        """The latest request to take all secrets out of service; "": none."""
        return self.resource.annotations.get(REVOKE_REQUESTED_AT, "")

    @property
    def client_id(self) -> str | None:
        """Of the extension, where the spec can be used."""
        return self.spec.client_id if self.spec is not None else None

    @property
    def accepted(self) -> bool:
        """Whether Twitch took a secret of it, in this process or before.

        What the target Secret holds shows nothing: whoever may write ExtensionApps may write it.
        """
        return self.secret_manager.proven or bool(self.status.secrets)

    @property
    def channels(self) -> frozenset[str]:
        """Names of the TwitchChannels whose segments it declares."""
        configuration = self.spec.configuration if self.spec is not None else None
        entries = configuration.channels if configuration is not None else ()
        return frozenset(entry.channel_ref.name for entry in entries)

    @property
    def next_rotation(self) -> float | None:
        """When the next secret is made; None: it is not known, or not this one's business."""
        mine = self.spec if self.conflict is None else None
        return self.secret_manager.next_rotation(mine) if mine is not None else None

    def signer(self, now: float) -> Extension | str:
        """What to sign calls with now, or why there is nothing."""
        spec = self.spec
        if spec is None or self.conflict is not None:
            finding = self.secrets_finding(now)
            return f"{finding.reason}: {finding.message}"
        secret = signing_secret(self.secret_manager.secrets, now)
        if secret is None:
            finding = self.secrets_finding(now)
            return f"{finding.reason}: {finding.message}"
        return Extension(spec.client_id, spec.owner_id, secret.content)

    def secrets_finding(self, now: float) -> Finding:
        """Whether its secrets are current."""
        return next(f for f in self.findings(now) if f.type == "SecretsCurrent")

    def findings(self, now: float) -> tuple[Finding, ...]:
        """The conditions as they are at a moment."""
        return extension_findings(self._facts(now))

    def _facts(self, now: float) -> ExtensionFacts:
        secret_manager, spec = self.secret_manager, self.spec
        return ExtensionFacts(
            spec_problem=self.problem,
            conflict=self.conflict,
            blocked=secret_manager.problem,
            warning=secret_manager.warning,
            owner_problem=secret_manager.owners.problem,
            failure=secret_manager.failure,
            signs=signing_secret(secret_manager.secrets, now) is not None,
            stored=secret_manager.stored,
            target=spec.secret.target_secret_name if spec is not None else "",
            next_rotation=secret_manager.next_rotation(spec) if spec is not None else None,
            revoking=self._revoking(now),
            revoked_until=revocation_ends(secret_manager.holding, now),
            configuration=self.configuration.finding if spec is not None else None,
            gateway=self.gateway if spec is not None else None,
        )

    def _revoking(self, now: float) -> bool:
        """Whether all that could verify was revoked."""
        secrets = self.secret_manager.secrets
        if not any(secret.revoked for secret in secrets):
            return False
        return not any(not secret.revoked and secret.counts(now) for secret in secrets)

    def compose(self, now: float) -> ExtensionAppStatus | None:
        """What the status should say now; None: nothing yet."""
        return self._new_status(now) if self.concluded else None

    def written(self, body: Mapping[str, Any]) -> None:
        """Take note of what the API server holds now."""
        self.status = ExtensionAppStatus.from_status(body)
        self.resource = self.resource.kept(pack(body))

    def _new_status(self, now: float) -> ExtensionAppStatus:
        secret_manager, spec = self.secret_manager, self.spec
        mine = spec is not None and self.conflict is None
        return ExtensionAppStatus(
            observed_generation=self.resource.generation,
            last_handled_reconcile_at=self.handled,
            conditions=to_conditions(
                self.findings(now), self.status.conditions, self.resource.generation, now
            ),
            secrets=_told(secret_manager.secrets, now) if mine and self.accepted else (),
            last_rotation_time=secret_manager.rotated_at,
            next_rotation_time=self.next_rotation,
            last_handled_revoke_at=secret_manager.handled or None,
            helper_tokens_refused_until=revocation_ends(secret_manager.holding, now),
            configuration=self.configuration.segments() if mine else (),
        )


def _told(secrets: tuple[SharedSecret, ...], now: float) -> tuple[ExtensionSecret, ...]:
    current = signing_secret(secrets, now)
    return tuple(
        ExtensionSecret(
            fingerprint=secret.fingerprint,
            active_time=secret.active,
            expiration_time=secret.expires,
            state=_state(secret, current, now),
        )
        for secret in secrets
        if now < secret.expires
    )


def _state(secret: SharedSecret, current: SharedSecret | None, now: float) -> SecretState:
    if secret.revoked:
        return "Revoked"
    if secret == current:
        return "Active"
    return "Pending" if now < secret.active or _newer(secret, current) else "Retiring"


def _newer(secret: SharedSecret, current: SharedSecret | None) -> bool:
    return current is not None and secret.expires > current.expires
