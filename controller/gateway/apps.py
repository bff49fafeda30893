"""Learns what there is to serve: ExtensionApps by list and watch, and the Secrets that they name.

Like the operator's engine it is level-triggered: whatever is told leads to a look at the whole of
an ExtensionApp, and to another after a growing pause where that fails. What was learned stays
served while the API server is away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from controller.clients.kube import KubeUnavailable
from controller.errors import OperatorError
from controller.gateway.candidates import Candidate
from controller.gateway.precedence import Precedence
from controller.gateway.providers import Login
from controller.runtime.resource import EXTENSION, Key, Kind, Resource
from controller.runtime.secrets import SecretStore
from controller.runtime.sync import Sync
from controller.runtime.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from controller.clients.kube import Kube
    from controller.gateway.catalog import Catalog
    from controller.settings import Settings

__all__ = ["Apps"]

logger = logging.getLogger(__name__)

_WORKERS = 8
_MOST_PAUSE = 10.0  # seconds between two tries to read what an extension needs
_LOOK_SPACING = 0.3  # seconds between two reads because of a changed status
_DELETED = 10_000  # UIDs of the last deletions that were told


class Apps:
    """Keeps the catalog as the API server says.

    Args:
        settings: Namespaces and intervals.
        kube: Lists, and reads the Secrets that are named.
        catalog: Is kept.
        forget: Is told `namespace/name` of an ExtensionApp that is gone.
    """

    def __init__(
        self, settings: Settings, kube: Kube, catalog: Catalog, forget: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._forget = forget
        self._catalog = catalog
        self._apps: dict[Key, Candidate] = {}
        self._unknown: set[Key] = set()  # not looked at yet
        self._precedence = Precedence()
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._secrets = SecretStore(kube, settings, self._secret_changed)
        self._queue: WorkQueue[Key] = WorkQueue(self._look, _WORKERS, _MOST_PAUSE)
        self._sync = Sync(
            kube,
            settings,
            held=self._uids,
            found=self._found,
            gone=self._gone,
            kinds=(EXTENSION,),
        )

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

    def notify(self, kind: Kind, event: str | None, body: Mapping[str, Any]) -> None:
        """Take a watch event.

        Args:
            kind: Of the resource; others than ExtensionApps are nothing to it.
            event: ADDED, MODIFIED, DELETED; None for one of a list.
            body: The resource.
        """
        if kind != EXTENSION:
            return
        resource = Resource.from_body(kind, body)
        if event == "DELETED" or body["metadata"].get("deletionTimestamp"):
            self._deleted[resource.uid] = None
            while len(self._deleted) > _DELETED:
                self._deleted.popitem(last=False)
            self._remove(resource.key, resource.uid)
        elif resource.uid not in self._deleted:
            # A list that began before the deletion may still have it.
            self._upsert(resource)

    def _found(self, kind: Kind, body: Mapping[str, Any]) -> None:
        self.notify(kind, None, body)

    def _uids(self, _kind: Kind, namespace: str | None) -> set[str]:
        return {
            app.resource.uid
            for key, app in self._apps.items()
            if namespace in (None, key.namespace)
        }

    def _gone(self, _kind: Kind, uid: str) -> None:
        for key in [key for key, app in self._apps.items() if app.resource.uid == uid]:
            self._remove(key, uid)

    def _upsert(self, resource: Resource) -> None:
        key = resource.key
        app = self._apps.get(key)
        if app is not None and app.resource.uid != resource.uid:
            self._remove(key, app.resource.uid)
            app = None
        if app is None:
            self._apps[key] = app = Candidate(resource, self._settings.allowed_fetch_hosts)
            self._unknown.add(key)
        elif 0 < resource.version <= app.resource.version:
            return  # known; or a list that began before the watch told of a change
        else:
            app.update(resource)
        self._publish(self._precedence.note(app))
        self._ask(key)

    def _remove(self, key: Key, uid: str) -> None:
        app = self._apps.get(key)
        if app is None or app.resource.uid != uid:
            return
        del self._apps[key]
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
        self._queue.add(key, self._apps[key].looked_at + _LOOK_SPACING)

    async def _look(self, key: Key) -> None:
        """Read what an ExtensionApp names."""
        app = self._apps.get(key)
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
            if self._apps.get(key) is app:
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
        self._catalog.unserved = len(self._apps) - self._catalog.count
