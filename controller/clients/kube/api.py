"""Calls to the API server: resources, Secrets, statuses and Events."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from controller.clients.kube.answers import (
    KubeError,
    KubeExpired,
    KubeNotFound,
    KubeUnavailable,
)
from controller.clients.kube.connection import DRY_RUN, Connection
from controller.clients.kube.secret import Secret, secret_manifest
from controller.resources.extensionapp import EXTENSION_APP
from controller.resources.kind import GROUP, VERSION
from controller.resources.triggerrule import TRIGGER_RULE
from controller.resources.twitchchannel import TWITCH_CHANNEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from controller.sensitive import Sensitive

__all__ = ["Kube"]

_PAGE = 500
_JSON_PATCH = "application/json-patch"
_IDENTITY = "authentication.k8s.io/v1"
_KINDS = {kind.plural: kind.name for kind in (TWITCH_CHANNEL, TRIGGER_RULE, EXTENSION_APP)}
_PLURALS = {name: plural for plural, name in _KINDS.items()}
_FORBIDDEN = 403
_RESTARTS = 5  # of one list


class Kube(Connection):
    """The calls that the operator makes; one instance a process."""

    async def discover(self) -> None:
        """Find out whether the API server answers, and serves the kinds.

        Raises:
            KubeUnavailable: It does not answer.
            KubeNotFound: The CRDs are not installed.
        """
        gone = "the CRDs are not installed any more: twitch-operator crds | kubectl apply -f -"
        try:
            told = await self.call("GET", f"/apis/{GROUP}/{VERSION}", "APIResourceList")
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
            await self.call("GET", f"/api/v1/namespaces/{name}", "Namespace")
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
                page = await self.call("GET", _path(plural, namespace), kind, query=query)
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
    ) -> Mapping[str, Any]:
        """Write a whole status, provided that the resource is still the one with this UID.

        Returns:
            The status as it is stored: without fields that the served CRD does not have.

        Raises:
            KubeNotFound: It is gone.
            KubeConflict: Another of the same name has taken its place.
        """
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = f"{_path(_PLURALS[kind], namespace)}/{name}/status"
        content_type = f"{_JSON_PATCH}+json"
        stored = await self.call("PATCH", path, kind, body=patch, content_type=content_type)
        return dict(stored.get("status") or {})

    async def get(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        """Read one resource.

        Raises:
            KubeNotFound: There is none of that name.
        """
        return await self.call("GET", f"{_path(plural, namespace)}/{name}", _KINDS[plural])

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
        await self.merge(path, _KINDS[plural], changes, dry_run=dry_run)

    async def who_am_i(self) -> str:
        """Name of the user as whom the API server sees these calls."""
        asked = {"apiVersion": _IDENTITY, "kind": "SelfSubjectReview"}
        path = f"/apis/{_IDENTITY}/selfsubjectreviews"
        told = await self.call("POST", path, "SelfSubjectReview", body=asked)
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
        await self.call("POST", _event(namespace), "Event", body=dict(event))

    async def patch_event(self, namespace: str, name: str, changes: Mapping[str, Any]) -> None:
        """Change fields of an Event.

        Raises:
            KubeNotFound: It is gone.
        """
        await self.merge(_event(namespace, name), "Event", changes)

    async def get_secret(self, namespace: str, name: str) -> Secret:
        """Read one Secret."""
        return Secret.from_manifest(await self.call("GET", _secret(namespace, name), "Secret"))

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
        manifest = secret_manifest(name, data, labels, owners, annotations)
        query = DRY_RUN if dry_run else None
        made = await self.call("POST", _secret(namespace), "Secret", body=manifest, query=query)
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
        manifest = secret_manifest(name, data, labels, owners, annotations)
        manifest["metadata"]["resourceVersion"] = resource_version
        query = DRY_RUN if dry_run else None
        path = _secret(namespace, name)
        stored = await self.call("PUT", path, "Secret", body=manifest, query=query)
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
            changed = await self.merge(path, "Secret", {"data": data}, dry_run=dry_run)
        except KubeNotFound:
            return await self.create_secret(namespace, name, {key: value}, {}, dry_run=dry_run)
        return Secret.from_manifest(changed)


def _path(plural: str, namespace: str | None) -> str:
    place = f"/namespaces/{namespace}" if namespace is not None else ""
    return f"/apis/{GROUP}/{VERSION}{place}/{plural}"


def _event(namespace: str, name: str | None = None) -> str:
    return f"/apis/events.k8s.io/v1/namespaces/{namespace}/events" + (f"/{name}" if name else "")


def _secret(namespace: str, name: str | None = None) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets" + (f"/{name}" if name else "")
