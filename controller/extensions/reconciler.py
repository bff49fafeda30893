"""What is done for an ExtensionApp whenever something about it may have changed."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

from controller.backoff import MOST_PAUSE, backoff
from controller.clients.kube import KubeError
from controller.clients.secret_values import marks_of
from controller.errors import NotLeading, OperatorError, TransientError
from controller.policies.extension_secrets import next_change
from controller.policies.findings import Finding
from controller.policies.gateway_checks import provider_problem
from controller.policies.problems import secret_refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from controller.extensions.app import ExtensionApp
    from controller.resources.extensionapp import ExtensionAppSpec
    from controller.runtime.elsewhere import Foreign
    from controller.runtime.resource import Key
    from controller.runtime.secret_cache import SecretStore
    from controller.settings import Settings

__all__ = ["ExtensionReconciler"]

logger = logging.getLogger(__name__)


class ExtensionReconciler:
    """Reconciles ExtensionApps.

    Args:
        settings: Limits and intervals.
        apps: All that run.
        secrets: The Secrets that ExtensionApps name.
        broadcaster_of: Finds a channel's broadcaster id; None: it is not known.
        conclude: Called when the status of one may have changed.
        reconcile: Asks for a round.

    Attributes:
        elsewhere: The ExtensionApps of other shards with a client id that Twitch accepted.
    """

    def __init__(
        self,
        settings: Settings,
        apps: Mapping[Key, ExtensionApp],
        *,
        secrets: SecretStore,
        broadcaster_of: Callable[[str, str], str | None],
        conclude: Callable[[ExtensionApp], None],
        reconcile: Callable[[Key], None],
    ) -> None:
        self._settings = settings
        self._apps = apps
        self._secrets = secrets
        self._broadcaster_of = broadcaster_of
        self._on_conclusion = conclude
        self._reconcile = reconcile
        self.elsewhere: Callable[[str], Iterable[Foreign]] = lambda _: ()

    def changed(self, client_id: str | None) -> None:
        """An ExtensionApp of this client id came, changed or went: others may have the turn."""
        for key, app in self._apps.items():
            if client_id is not None and app.client_id == client_id:
                self._reconcile(key)

    async def run(self, app: ExtensionApp) -> float | None:
        """Look at the whole of it, and do what is due.

        Returns:
            When to come back; None: when something changes.
        """
        requested = app.resource.requested_at
        spec = app.spec
        self._settle(app)
        if spec is None or app.conflict is not None:
            app.handled = requested
            self._conclude(app)
            return None
        problems: list[OperatorError] = []
        try:
            self._release(app, spec)
            if requested != app.handled:
                app.secret_manager.owners.ask_again()
            moments = [
                # Trouble with one of them keeps none of the others from its time.
                await _tried(self._check_gateway(app, spec), problems),
                await _tried(self._keep_secrets(app, spec), problems),
                await _tried(self._keep_configuration(app, spec), problems),
            ]
            moments += [app.secret_manager.owners.next_try, *self._after(app, problems)]
            if not problems:
                app.handled = requested
            return min((at for at in moments if at is not None), default=None)
        finally:
            self._conclude(app)

    @staticmethod
    def _after(app: ExtensionApp, problems: list[OperatorError]) -> list[float | None]:
        """When to come back because of what went wrong."""
        if not problems:
            app.failures = 0
            return []
        app.failures += 1
        for problem in problems:
            quietly = app.failures > 1 or isinstance(problem, NotLeading)
            level = logging.DEBUG if quietly else logging.WARNING
            logger.log(level, "%s: %s; trying again", app.resource.key, problem)
        now = time.time()
        hints = [p.retry_after or 0.0 for p in problems if isinstance(p, TransientError)]
        pause = backoff(app.failures, random.random(), first=1.0)  # noqa: S311 - jitter
        again = now + max(pause, min(max(hints, default=0.0), MOST_PAUSE))
        # What only the passing of time changes in the Secret needs no Twitch.
        return [again, next_change(app.secret_manager.secrets, now)]

    def _conclude(self, app: ExtensionApp) -> None:
        app.concluded = True
        self._on_conclusion(app)

    def _release(self, app: ExtensionApp, spec: ExtensionAppSpec) -> None:
        """Forget the Secrets that it named before."""
        oauth = spec.gateway.oauth if spec.gateway is not None else None
        reference = oauth.secret_ref if oauth is not None else None
        named = [spec.secret.target_secret_name, spec.secret.bootstrap_secret_ref.name]
        named += [reference.name] if reference is not None else []
        key = app.resource.key
        self._secrets.release(key, but={(key.namespace, name) for name in named})

    async def _keep_secrets(self, app: ExtensionApp, spec: ExtensionAppSpec) -> float | None:
        accepted = app.accepted
        try:
            return await app.secret_manager.reconcile(spec, app.revoke_request)
        finally:
            if app.accepted and not accepted:
                self.changed(app.client_id)

    async def _check_gateway(self, app: ExtensionApp, spec: ExtensionAppSpec) -> float | None:
        """See whether the gateway will find what it needs."""
        kind, gateway = "GatewayConfigured", spec.gateway
        if gateway is None or not gateway.enabled:
            app.gateway = None
            return None
        oauth = gateway.oauth
        if oauth is None:
            message = "/setup/ is served; /send/ rejects all requests without spec.gateway.oauth"
            app.gateway = Finding(kind, "True", "Succeeded", message)
            return None
        secret = None
        if oauth.secret_ref is not None:
            key, name = app.resource.key, oauth.secret_ref.name
            field = "spec.gateway.oauth.secretRef"
            try:
                secret = await self._secrets.get(key.namespace, name, key)
            except KubeError as error:
                refused = secret_refused(f"{field}: {error}")
                app.gateway = Finding(kind, "False", refused.reason, refused.message, refused.human)
                raise
            refusal = marks_of(secret).refusal(name) if secret is not None else None
            if refusal is not None:
                message = f"{field}: {refusal}"
                app.gateway = Finding(kind, "False", "InvalidSecret", message, human=True)
                return None
        problem = provider_problem(
            oauth,
            secret.data if secret is not None else None,
            secret.annotations if secret is not None else {},
            self._settings.allowed_fetch_hosts,
            app.resource.key.namespace,
        )
        app.gateway = (
            Finding(kind, "True", "Succeeded", "")
            if problem is None
            else Finding(kind, "False", problem.reason, problem.message, problem.human)
        )
        return None

    async def _keep_configuration(self, app: ExtensionApp, spec: ExtensionAppSpec) -> float | None:
        signer = app.signer(time.time())
        if isinstance(signer, str) or app.stands_by:
            return None
        namespace = app.resource.key.namespace
        again = await app.configuration.reconcile(
            spec, signer, lambda name: self._broadcaster_of(namespace, name)
        )
        if app.configuration.doubted:
            app.secret_manager.look()
            return time.time()
        return again

    def _settle(self, app: ExtensionApp) -> None:
        """A client id belongs to the oldest of those that Twitch accepted.

        Until it accepted one, each may try: whoever names a client id that is not theirs, and was
        first, keeps nobody from it.
        """
        if app.client_id is None:
            app.conflict = None
            return
        same = [other for other in self._apps.values() if other.client_id == app.client_id]
        same.sort(key=lambda o: (not o.accepted, o.resource.created, o.resource.uid))
        first = same[0] if same else app
        best = [(first.resource.created, first.resource.uid, first.resource.key)]
        # Those of other shards are told of once Twitch accepted them.
        there = [(f.created, f.uid, f.key) for f in self.elsewhere(app.client_id)]
        *_, owner = min((best if first.accepted else []) + there, default=best[0])
        free = owner == app.resource.key or not (first.accepted or there)
        app.conflict = None if free else owner.path


async def _tried(work: Awaitable[float | None], problems: list[OperatorError]) -> float | None:
    try:
        return await work
    except OperatorError as problem:
        problems.append(problem)
        return None
