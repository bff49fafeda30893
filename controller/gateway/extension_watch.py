"""Learns what there is to serve: ExtensionApps by list and watch, and the Secrets that they name.

Like the operator it is level-triggered: whatever happens leads to a look at the whole of an
ExtensionApp, and to another after a growing pause where that fails. What was learned stays
served while the API server is away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from controller.clients.kube import KubeUnavailable
from controller.errors import OperatorError
from controller.gateway.candidates import Candidate
from controller.gateway.precedence import Precedence
from controller.gateway.providers import Login
from controller.resources.extensionapp import EXTENSION_APP
from controller.runtime.intake import Intake
from controller.runtime.resource import Key
from controller.runtime.secret_cache import SecretStore
from controller.runtime.sync import Sync
from controller.runtime.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from controller.clients.kube import Kube
    from controller.gateway.catalog import Catalog
    from controller.runtime.resource import Resource
    from controller.settings import Settings

__all__ = ["Apps"]

logger = logging.getLogger(__name__)

_WORKERS = 8
_MOST_PAUSE = 10.0  # seconds between two tries to read what an extension needs
_LOOK_SPACING = 0.3  # seconds between two reads because of a changed status


class Apps:
    """Keeps the catalog as the API server says.

    Args:
        settings: Namespaces and intervals.
        kube: Lists, and reads the Secrets that are named.
        catalog: Is kept.
        forget: Is told `namespace/name` of an ExtensionApp that is gone.

    Attributes:
        kind: What is served.
        objects: All ExtensionApps.
    """

    kind = EXTENSION_APP

    def __init__(
        self, settings: Settings, kube: Kube, catalog: Catalog, forget: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._forget = forget
        self._catalog = catalog
        self.objects: dict[Key, Candidate] = {}
        self._unknown: set[Key] = set()  # not looked at yet
        self._precedence = Precedence()
        self._secrets = SecretStore(kube, settings, self._secret_changed)
        self._queue: WorkQueue[Key] = WorkQueue(self._look, _WORKERS, _MOST_PAUSE)
        self._intake = Intake({self.kind.name: self})
        self._sync = Sync(kube, settings, self._intake)

    @property
    def synced(self) -> bool:
        """Whether all ExtensionApps were listed once."""
        return self._sync.done

    async def run(self) -> None:
        """Learn until cancelled."""
        await self._sync.first()
        self._publish(set())
        async with asyncio.TaskGroup() as group:
            for job in (self._queue.run(), self._secrets.run(), self._sync.run()):
                group.create_task(job)

    def notify(self, kind: str, event: str | None, body: Mapping[str, Any]) -> None:
        """Take a watch event: ADDED, MODIFIED, DELETED."""
        self._intake.notify(kind, event, body)

    def upsert(self, resource: Resource) -> None:
        """Take an ExtensionApp that is new, or the new state of one that is held."""
        key = resource.key
        app = self.objects.get(key)
        if app is None:
            self.objects[key] = app = Candidate(resource, self._settings.allowed_fetch_hosts)
            self._unknown.add(key)
        else:
            app.update(resource)
        self._publish(self._precedence.note(app))
        self._ask(key)

    def remove(self, key: Key) -> None:
        """Drop an ExtensionApp that is gone."""
        app = self.objects.pop(key)
        self._unknown.discard(key)
        self._queue.forget(key)
        self._secrets.release(key)
        # First: whoever still answers for it sees that it is gone.
        self._publish(self._precedence.drop(app))
        self._forget(key.path)

    def _secret_changed(self, key: Hashable) -> None:
        if isinstance(key, Key):
            self._queue.add(key)

    def _ask(self, key: Key) -> None:
        """Look soon: at once, unless it was looked at just before."""
        self._queue.add(key, self.objects[key].looked_at + _LOOK_SPACING)

    async def _look(self, key: Key) -> None:
        """Read what an ExtensionApp names."""
        app = self.objects.get(key)
        if app is None:
            return
        app.looked_at = time.monotonic()
        fresh, app.stale = app.stale, False
        try:
            await self._read(key, app, fresh=fresh)
        except OperatorError as error:
            app.stale, app.trouble = True, str(error)
            # What may not be read keeps the others from nothing; while the API server is away,
            # it is not known what there is.
            app.looked = app.looked or not isinstance(error, KubeUnavailable)
            raise
        else:
            app.looked, app.trouble = True, ""
        finally:
            if self.objects.get(key) is app:
                if app.looked:
                    self._unknown.discard(key)
                self._publish(self._precedence.note(app))
            else:
                self._secrets.release(key)  # deleted during the look

    async def _read(self, key: Key, app: Candidate, *, fresh: bool) -> None:
        spec = app.wanted
        if spec is None or spec.gateway is None:
            self._secrets.release(key)
            app.take(None, "")
            app.login = None
            return
        oauth = spec.gateway.oauth
        target = spec.secret.target_secret_name
        reference = oauth.secret_ref if oauth is not None else None
        names = {target} | ({reference.name} if reference is not None else set())
        self._secrets.release(key, but={(key.namespace, name) for name in names})
        handled = app.status.last_handled_revoke_at or ""
        app.take(await self._secrets.get(key.namespace, target, key, fresh=fresh), handled)
        if oauth is None or reference is None:
            app.login = None
            return
        given = await self._secrets.get(key.namespace, reference.name, key, fresh=fresh)
        app.login = Login(oauth.introspection_url, reference.name, given)

    def _publish(self, changed: set[str]) -> None:
        """Let requests see at once what is known of the client ids that changed."""
        if not self._catalog.ready:
            if self._unknown or not self._sync.done:
                return
            self._catalog.ready, changed = True, self._precedence.client_ids()
        for client_id in changed:
            self._catalog.put(client_id, self._precedence.served(client_id))
        self._catalog.unserved = len(self.objects) - self._catalog.count
