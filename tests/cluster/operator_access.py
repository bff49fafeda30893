"""Other ways to the API server than the administrator's: few rights, and a line that can be cut."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import yarl
from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.kubectl import Kubectl

__all__ = ["Line", "account_kubeconfig"]

GROUP = "twitch-operator.dev"


class Line:
    """A connection to the API server that a test can cut, mend and disturb.

    Args:
        kubeconfig: File that is written: it leads over this line.
        of: File with the address and the credential behind it.
    """

    def __init__(self, kubeconfig: Path, of: Path) -> None:
        self.kubeconfig = kubeconfig
        self._config = json.loads(of.read_text())
        self._cluster = self._config["clusters"][0]["cluster"]
        self._target = self._cluster["server"]
        authority = base64.b64decode(self._cluster.pop("certificate-authority-data")).decode()
        self._trust = ssl.create_default_context(cadata=authority)
        self._runner = web.ServerRunner(
            web.Server(self._serve, access_log=None), shutdown_timeout=0.1
        )
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._site: web.TCPSite | None = None
        self._watches: set[web.StreamResponse] = set()
        self.silent_at: str | None = None
        """Path of requests that are not answered before the line is mended."""
        self._mended = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=["Content-Type"]
        )
        # Bound without listening: the port stays ours, and is refused, while the line is cut.
        self._reserved.bind(("127.0.0.1", 0))
        await self._runner.setup()
        await self.mend()
        self._cluster["server"] = f"http://127.0.0.1:{self._port}"
        self.kubeconfig.write_text(json.dumps(self._config))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        await self._runner.cleanup()
        await self._session.close()
        self._reserved.close()

    @property
    def _port(self) -> int:
        return int(self._reserved.getsockname()[1])

    async def mend(self) -> None:
        """Take connections, and answer."""
        self.silent_at = None
        self._mended.set()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await self._site.start()

    async def cut(self) -> None:
        """Refuse connections, and break those there are."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def fail_watches(self) -> None:
        """Send an error into all open watches, as an API server in trouble does."""
        status = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "trouble"}
        for watch in self._watches:
            await watch.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == self.silent_at:
            self._mended.clear()
            await self._mended.wait()
        try:
            return await self._forward(request)
        except (aiohttp.ClientError, OSError):  # cut in the middle, on either side
            return web.Response(status=502)

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            request.method, yarl.URL(self._target + request.raw_path, encoded=True),
            headers=headers, data=await request.read() or None, ssl=self._trust,
        ) as answer:  # fmt: skip
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if "watch=true" in request.raw_path:
                self._watches.add(response)
            try:
                async for data in answer.content.iter_any():
                    await response.write(data)
            finally:
                self._watches.discard(response)
        return response


_HOP_BY_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length"})


def _role(name: str) -> dict[str, Any]:
    """All rights that the operator needs in a namespace."""
    kinds = ["twitchchannels", "triggerrules", "extensionapps"]
    rules = [
        {"apiGroups": [GROUP], "resources": kinds, "verbs": ["list", "watch"]},
        {
            "apiGroups": [GROUP],
            "resources": [f"{each}/status" for each in kinds],
            "verbs": ["patch"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ]
    api = "rbac.authorization.k8s.io/v1"
    return {"apiVersion": api, "kind": "Role", "metadata": {"name": name}, "rules": rules}


async def account_kubeconfig(kubectl: Kubectl, admin: Path, file: Path) -> Path:
    """A ServiceAccount with the Role `operator` in its namespace, and a kubeconfig for it."""
    await kubectl("create", "serviceaccount", "operator")
    await kubectl.apply(_role("operator"))
    subject = f"--serviceaccount={kubectl.namespace}:operator"
    await kubectl("create", "rolebinding", "operator", "--role=operator", subject)
    token = (await kubectl("create", "token", "operator")).strip()
    _write_kubeconfig(admin, token, file)
    return file


def _write_kubeconfig(like: Path, token: str, file: Path) -> None:
    config = json.loads(like.read_text())
    config["users"][0]["user"] = {"token": token}
    file.write_text(json.dumps(config))
