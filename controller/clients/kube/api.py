"""The API server, by the official client: resources, Secrets, statuses and Events.

Only the client's transport is used (`ApiClient` with its kubeconfig and in-cluster loaders), on raw
JSON: the typed API classes would triple the memory and gain nothing for custom resources.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from controller.clients.faults import in_words
from controller.clients.kube.answers import (
    KubeError,
    KubeExpired,
    KubeNotFound,
    KubeUnavailable,
    read_answer,
    values_of,
)
from controller.errors import OperatorError
from controller.resources.extensionapp import EXTENSION_APP
from controller.resources.kind import GROUP, VERSION
from controller.resources.triggerrule import TRIGGER_RULE
from controller.resources.twitchchannel import TWITCH_CHANNEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from kubernetes.aio.client.configuration import Configuration

    from controller.sensitive import Sensitive

__all__ = ["Kube", "Secret"]

_TIMEOUT = 10.0
_PAGE = 500
_LOG_IN_INTERVAL = 10.0
_JSON_PATCH = "application/json-patch"
_DRY_RUN = [("dryRun", "All")]
_IDENTITY = "authentication.k8s.io/v1"
_KINDS = {kind.plural: kind.name for kind in (TWITCH_CHANNEL, TRIGGER_RULE, EXTENSION_APP)}
_PLURALS = {name: plural for plural, name in _KINDS.items()}
_FORBIDDEN = 403
_RESTARTS = 5  # of one list


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret as read.

    Attributes:
        data: Key → decoded bytes.
        labels: Its labels.
        owners: Its owner references.
        resource_version: For an update that must not overwrite another's.
        uid: Its own UID.
        annotations: Its annotations.
    """

    data: Mapping[str, bytes]
    labels: Mapping[str, str]
    owners: tuple[Mapping[str, Any], ...]
    resource_version: str
    uid: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner_uids(self) -> tuple[str, ...]:
        """The UIDs of its owners."""
        return tuple(str(owner.get("uid", "")) for owner in self.owners)

    def __repr__(self) -> str:
        return f"Secret(keys={sorted(self.data)}, resource_version={self.resource_version!r})"

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Secret:
        """Decode what the API server sent."""
        meta = manifest["metadata"]
        data = {}
        for key, text in (manifest.get("data") or {}).items():
            try:
                data[key] = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError, TypeError):
                data[key] = b""
        return cls(
            data=data,
            labels=meta.get("labels") or {},
            owners=tuple(meta.get("ownerReferences") or ()),
            resource_version=meta.get("resourceVersion", ""),  # none of a rehearsed creation
            uid=meta["uid"],
            annotations=meta.get("annotations") or {},
        )


class Kube:
    """The calls that the operator makes; one instance a process.

    Use as an async context manager. Every call raises `KubeUnavailable` when the API server is away
    or overloaded, and a `KubeError` when it refuses.

    Args:
        load: Finds the API server and how to log in; asked again after a 401, because credentials
            of a kubeconfig may expire.
    """

    def __init__(self, load: Callable[[], Awaitable[Configuration]]) -> None:
        self._load = load
        self._client: ApiClient | None = None
        self._loaded = 0.0

    async def __aenter__(self) -> Self:
        self._client = ApiClient(await self._load())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def host(self) -> str:
        """URL of the API server."""
        return str(self._client.configuration.host) if self._client is not None else "(none)"

    async def discover(self) -> None:
        """Find out whether the API server answers, and serves the kinds.

        Raises:
            KubeUnavailable: It does not answer.
            KubeNotFound: The CRDs are not installed.
        """
        gone = "the CRDs are not installed any more: twitch-operator crds | kubectl apply -f -"
        try:
            told = await self._call("GET", f"/apis/{GROUP}/{VERSION}", "APIResourceList")
            served = {resource["name"] for resource in told["resources"]}
        except KubeNotFound as error:
            raise KubeNotFound(gone, error.status, error.verb) from error
        except (KeyError, TypeError) as error:
            msg = f"the API server does not tell what {GROUP} has"
            raise KubeUnavailable(msg) from error
        if not served >= _KINDS.keys():
            raise KubeNotFound(gone, 404, "get")

    async def lacks_namespace(self, name: str) -> bool:
        """Whether a namespace is known not to exist; who may not read namespaces does not know.

        Raises:
            KubeUnavailable: The API server is away.
        """
        try:
            await self._call("GET", f"/api/v1/namespaces/{name}", "Namespace")
        except KubeNotFound:
            return True
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
        return False

    async def list_all(self, plural: str, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        """Yield all resources of a kind, page by page; namespace None: of the whole cluster.

        A list that the API server does not keep any more (410) begins anew: some come twice.
        """
        token, restarts = "", 0
        kind = f"{_KINDS[plural]}List"
        while True:
            query = [("limit", str(_PAGE))] + ([("continue", token)] if token else [])
            try:
                page = await self._call("GET", _path(plural, namespace), kind, query=query)
            except KubeExpired:
                restarts += 1
                if not token or restarts > _RESTARTS:
                    raise
                token = ""
                continue
            for item in page["items"]:
                yield item
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return

    async def replace_status(
        self, kind: str, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> None:
        """Write a whole status, provided that the resource is still the one with this UID.

        Raises:
            KubeNotFound: It is gone.
            KubeConflict: Another of the same name has taken its place.
        """
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = f"{_path(_PLURALS[kind], namespace)}/{name}/status"
        await self._call("PATCH", path, kind, body=patch, content_type=f"{_JSON_PATCH}+json")

    async def get(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        """Read one resource.

        Raises:
            KubeNotFound: There is none of that name.
        """
        return await self._call("GET", f"{_path(plural, namespace)}/{name}", _KINDS[plural])

    async def annotate(
        self,
        plural: str,
        namespace: str,
        name: str,
        annotations: Mapping[str, str | None],
        *,
        dry_run: bool = False,
    ) -> None:
        """Set annotations of a resource, or only find out whether they could be set.

        Args:
            plural: Its kind, as in URLs.
            namespace: Its namespace.
            name: Its name.
            annotations: Name → value; None: the annotation is removed.
            dry_run: Only find out.

        Raises:
            KubeNotFound: There is none of that name.
        """
        changes = {"metadata": {"annotations": dict(annotations)}}
        path = f"{_path(plural, namespace)}/{name}"
        await self._merge(path, _KINDS[plural], changes, dry_run=dry_run)

    async def who_am_i(self) -> str:
        """Name of the user as whom the API server sees these calls."""
        asked = {"apiVersion": _IDENTITY, "kind": "SelfSubjectReview"}
        path = f"/apis/{_IDENTITY}/selfsubjectreviews"
        told = await self._call("POST", path, "SelfSubjectReview", body=asked)
        try:
            return str(told["status"]["userInfo"]["username"])
        except (KeyError, TypeError) as error:
            msg = "the API server does not tell as whom it sees these calls"
            raise KubeUnavailable(msg) from error

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Post an Event of events.k8s.io/v1.

        Raises:
            KubeConflict: One of that name exists.
        """
        await self._call("POST", _event(namespace), "Event", body=dict(event))

    async def patch_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> None:
        """Change fields of an Event.

        Raises:
            KubeNotFound: It is gone.
        """
        await self._merge(_event(namespace, name), "Event", changes)

    async def get_secret(self, namespace: str, name: str) -> Secret:
        """Read one Secret."""
        return Secret.from_manifest(await self._call("GET", _secret(namespace, name), "Secret"))

    async def create_secret(  # noqa: PLR0913 - a Secret has that many parts
        self,
        namespace: str,
        name: str,
        data: Mapping[str, Sensitive],
        labels: Mapping[str, str],
        owner: Mapping[str, Any] | None = None,
        *,
        annotations: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> Secret:
        """Make a Secret.

        Args:
            namespace: Its namespace.
            name: Its name.
            data: Key → text.
            labels: Its labels.
            owner: Owner reference; None: it has no owner.
            annotations: Its annotations.
            dry_run: Only find out whether it could be made.

        Raises:
            KubeConflict: One of that name exists.
        """
        owners = () if owner is None else (owner,)
        manifest = _secret_manifest(name, data, labels, owners, annotations)
        query = _DRY_RUN if dry_run else None
        made = await self._call("POST", _secret(namespace), "Secret", body=manifest, query=query)
        return Secret.from_manifest(made)

    async def update_secret(  # noqa: PLR0913 - a Secret has that many parts
        self,
        namespace: str,
        name: str,
        data: Mapping[str, Sensitive],
        labels: Mapping[str, str],
        *,
        resource_version: str,
        owners: Sequence[Mapping[str, Any]] = (),
        annotations: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> Secret:
        """Replace a Secret that is still as it was read.

        Args:
            namespace: Its namespace.
            name: Its name.
            data: Key → text; keys that are not in it go.
            labels: Its labels.
            resource_version: As it was read.
            owners: Owner references.
            annotations: Its annotations.
            dry_run: Only find out whether it could be written.

        Raises:
            KubeConflict: Somebody wrote it in between.
            KubeNotFound: It is gone.
        """
        manifest = _secret_manifest(name, data, labels, owners, annotations)
        manifest["metadata"]["resourceVersion"] = resource_version
        query = _DRY_RUN if dry_run else None
        path = _secret(namespace, name)
        stored = await self._call("PUT", path, "Secret", body=manifest, query=query)
        return Secret.from_manifest(stored)

    async def set_secret_key(
        self, namespace: str, name: str, key: str, value: Sensitive, *, dry_run: bool = False
    ) -> Secret:
        """Set one key of a Secret, which is made if there is none; its other keys stay.

        With `dry_run` it is only found out whether that could be done.

        Returns:
            The Secret as it is, or would be, with that key.
        """
        data = {key: base64.b64encode(value.reveal().encode()).decode()}
        try:
            path = _secret(namespace, name)
            changed = await self._merge(path, "Secret", {"data": data}, dry_run=dry_run)
        except KubeNotFound:
            return await self.create_secret(namespace, name, {key: value}, {}, dry_run=dry_run)
        return Secret.from_manifest(changed)

    async def _merge(
        self, path: str, kind: str, changes: Mapping[str, Any], *, dry_run: bool = False
    ) -> dict[str, Any]:
        content_type = "application/merge-patch+json"
        query = _DRY_RUN if dry_run else None
        return await self._call(
            "PATCH", path, kind, query=query, body=dict(changes), content_type=content_type
        )

    async def _call(
        self,
        method: str,
        path: str,
        kind: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Any = None,  # noqa: ANN401 - JSON
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        if self._client is None:
            msg = "Kube is used outside of its context"
            raise RuntimeError(msg)
        try:
            # Without the body: it is JSON already, and need not be walked through.
            method, url, headers, _, _ = await self._client.param_serialize(
                method,
                path,
                query_params=query or [],
                header_params={"Accept": "application/json", "Content-Type": content_type},
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(
                method, url, headers, body, _request_timeout=_TIMEOUT
            )
            content = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            msg = f"the API server did not answer: {in_words(error)} ({self.host})"
            raise KubeUnavailable(msg) from error
        if response.status == 401:
            await self._log_in_again()
        hidden = values_of(body["data"]) if kind == "Secret" and body is not None else ()
        return read_answer(method, path, response.status, content, kind, hidden)

    async def _log_in_again(self) -> None:
        """Read the credentials anew; the caller's next try uses them."""
        now = time.monotonic()
        if now < self._loaded + _LOG_IN_INTERVAL:
            return
        self._loaded = now
        try:
            client = ApiClient(await self._load())
        except OperatorError as error:
            raise KubeUnavailable(str(error)) from error
        old, self._client = self._client, client
        if old is not None:
            # Calls under way on it fail as if the API server had been away, and are repeated.
            await old.close()


def _path(plural: str, namespace: str | None) -> str:
    place = f"/namespaces/{namespace}" if namespace is not None else ""
    return f"/apis/{GROUP}/{VERSION}{place}/{plural}"


def _event(namespace: str, name: str | None = None) -> str:
    return f"/apis/events.k8s.io/v1/namespaces/{namespace}/events" + (f"/{name}" if name else "")


def _secret(namespace: str, name: str | None = None) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets" + (f"/{name}" if name else "")


def _secret_manifest(
    name: str,
    data: Mapping[str, Sensitive],
    labels: Mapping[str, str],
    owners: Sequence[Mapping[str, Any]],
    annotations: Mapping[str, str] | None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": dict(labels)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owners:
        metadata["ownerReferences"] = [dict(owner) for owner in owners]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata,
        "data": {k: base64.b64encode(v.reveal().encode()).decode() for k, v in data.items()},
    }
