"""The ExtensionApps that may be served."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.gateway.catalog import Endpoint
from controller.gateway.providers import provider_of
from controller.policies.extension_secrets import REVOKED_FOR, decode
from controller.policies.target_secret import is_target
from controller.resources.common import InvalidSpec
from controller.resources.extensionapp import ExtensionAppSpec, ExtensionAppStatus
from controller.resources.kind import REVOKE_REQUESTED_AT

if TYPE_CHECKING:
    from collections.abc import Collection

    from controller.clients.kube import Secret
    from controller.gateway.providers import Login, Provider
    from controller.policies.extension_secrets import SharedSecret
    from controller.resources.extensionapp import OAuth
    from controller.runtime.resource import Resource

__all__ = ["Candidate"]

logger = logging.getLogger(__name__)

_IMPLIED = {"https": ":443", "http": ":80"}


class Candidate:
    """An ExtensionApp that may be served, as far as it is known.

    Args:
        resource: As the API server holds it.
        allowed_hosts: The setting ALLOWED_FETCH_HOSTS.

    Attributes:
        resource: As the API server holds it.
        spec: Parsed; None where it cannot be used.
        status: Parsed.
        secrets: As the target Secret holds them.
        revoked_for: The request to revoke whose marks the target Secret has.
        handled: The request to revoke that the status told as done before that Secret was read.
        revoked: Fingerprints of what verifies nothing, whatever its marks say.
        login: With which the provider is asked, as it was read last.
        trouble: Why its Secrets could not be read when they were last tried; "": they could.
        stale: Its Secrets are to be read anew.
        looked: A first look has ended.
        looked_at: When the last one began, by `time.monotonic`.
    """

    def __init__(self, resource: Resource, allowed_hosts: Collection[str]) -> None:
        self._allowed_hosts = allowed_hosts
        self.secrets: tuple[SharedSecret, ...] = ()
        self.revoked_for = ""
        self.handled = ""
        self.revoked: set[str] = set()
        self.login: Login | None = None
        self.trouble = ""
        self.stale = True
        self.looked = False
        self.looked_at = -math.inf
        self.resource = resource
        self.spec: ExtensionAppSpec | None = None
        self.update(resource)

    def update(self, resource: Resource) -> None:
        """Take a new state of the resource."""
        self.resource = resource.kept()
        self.status = ExtensionAppStatus.from_status(resource.status)
        try:
            self.spec = ExtensionAppSpec.from_spec(resource.spec)
        except InvalidSpec as error:
            logger.warning("%s is not served: %s", resource.key, error)
            self.spec = None
        self.stale = True
        self.heed_revocation()

    def heed_revocation(self) -> None:
        """Take all that is in hand out of service, if somebody asked for it and it is still there.

        The target Secret tells by an annotation that its marks are those of this request. Where it
        was made anew since, without one, the status tells that the request lies behind it.
        """
        asked = self.resource.annotations.get(REVOKE_REQUESTED_AT)
        if asked and asked not in (self.revoked_for, self.handled):
            self.revoked |= {secret.fingerprint for secret in self.secrets}

    def take(self, secret: Secret | None, handled: str) -> None:
        """Note what the target Secret holds; `handled`: of the status before it was read."""
        if secret is not None and not self._is_mine(secret):
            secret = None
        self.secrets = decode(secret.data) if secret is not None else ()
        self.revoked_for = secret.annotations.get(REVOKED_FOR, "") if secret is not None else ""
        self.handled = handled
        self.heed_revocation()

    def _is_mine(self, secret: Secret) -> bool:
        name, spec = self.resource.key.name, self.spec
        return spec is not None and is_target(
            secret.labels, secret.annotations, name, spec.client_id
        )

    @property
    def wanted(self) -> ExtensionAppSpec | None:
        """The spec, if the gateway is to serve it."""
        spec = self.spec
        return (
            spec if spec is not None and spec.gateway is not None and spec.gateway.enabled else None
        )

    @property
    def in_conflict(self) -> bool:
        """Whether the operator says that the client id belongs to another."""
        return any(
            c.type == "SecretsCurrent" and c.reason == "Conflict" for c in self.status.conditions
        )

    @property
    def claim(self) -> tuple[bool, bool, float, str]:
        """The least of those that have the same client id is served.

        A client id is public, and anybody may name it: what counts is that Twitch took a secret,
        which the operator alone writes into the status, then that there is one at all.
        """
        accepted, ready = bool(self.status.secrets), bool(self.secrets)
        return (not accepted, not ready, self.resource.created, self.resource.uid)

    def served(self) -> Endpoint | None:
        """As requests see it; None: it is not to be served."""
        spec = self.wanted
        if spec is None or spec.gateway is None:
            return None
        required = spec.required_configuration
        return Endpoint(
            key=self.resource.key,
            client_id=spec.client_id,
            owner_id=spec.owner_id,
            version=spec.version,
            secrets=tuple(
                replace(s, revoked=True) if s.fingerprint in self.revoked else s
                for s in self.secrets
            ),
            required_configuration=required.value if required is not None else None,
            oauth=self._provider(spec.gateway.oauth),
            allowed_origins=frozenset(map(_as_browsers_send_it, spec.gateway.allowed_origins)),
        )

    def _provider(self, oauth: OAuth | None) -> Provider | None:
        """Who vouches for bearer tokens, as the spec says now."""
        if oauth is None:
            return None
        namespace = self.resource.key.namespace
        return provider_of(oauth, self.login, self.trouble, self._allowed_hosts, namespace)


def _as_browsers_send_it(origin: str) -> str:
    """In small letters, and without the port that its scheme implies."""
    scheme, _, host = origin.lower().partition("://")
    return f"{scheme}://{host.removesuffix(_IMPLIED.get(scheme, ''))}"
