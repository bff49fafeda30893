"""`authorize` and `revoke` as a user runs them, with somebody at the browser.

Where no operator runs, a test plays its part: it writes the status that one would write.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.cluster.kubectl import eventually
from tests.cluster.manifests import channel, secret
from tests.programs import Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.operator_harness import Site

__all__ = ["Command", "Scene", "account", "by_code", "condition", "free_port", "listening"]

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
_URL = re.compile(r"^\s*(http://\S+/oauth2/authorize\?\S+)$", re.MULTILINE)
_REQUESTED, _REVOKE = "twitch-operator.dev/requestedAt", "twitch-operator.dev/revokeRequestedAt"


class Command:
    """A command that runs."""

    def __init__(self, process: Program | subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text("utf-8", "replace")

    @property
    def errors(self) -> str:
        return (self._folder / "errors").read_text("utf-8", "replace")

    def tells(self, text: str) -> bool:
        return text in self.out or self.process.poll() is not None

    async def until(self, text: str) -> None:
        """Wait until it has printed a text."""
        await eventually(lambda: self.tells(text))
        assert text in self.out, self.out + self.errors

    async def url(self) -> str:
        """The consent page, as soon as it is waited for."""
        await eventually(lambda: self.process.poll() is not None or _URL.search(self.out))
        found = _URL.search(self.out)
        assert found, self.out + self.errors
        return found[1]

    async def end(self, code: int) -> str:
        """Wait for the end with this exit code; returns all that it printed."""
        await eventually(lambda: self.process.poll() is not None)
        assert self.process.returncode == code, self.out + self.errors
        return self.out + self.errors

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    async def interrupt(self) -> str:
        self.process.send_signal(signal.SIGINT)
        return await self.end(130)


@dataclass(frozen=True)
class Scene:
    """A broadcaster, an application of its own, and a channel that awaits the consent."""

    site: Site
    name: str
    redirect_uri: str
    folder: Path
    client_secret: str

    @classmethod
    async def set_up(
        cls, site: Site, folder: Path, name: str, authorization: dict[str, Any], *,
        redirect_uri: str = "", public: bool = False, **spec: object,
    ) -> Scene:  # fmt: skip
        """Apply all of it; in the authorization, REDIRECT stands for the scene's redirect URI."""
        uri = redirect_uri or f"http://localhost:{free_port()}/auth/twitch/callback"
        scene = cls(site, name, uri, folder, uuid.uuid4().hex)
        site.twitch.add_broadcaster(name)
        app = {"client_id": f"app-of-{name}", "client_secret": scene.client_secret}
        if public:
            del app["client_secret"]
        site.twitch.add_app(app["client_id"], app.get("client_secret"), redirect_uris=[uri])
        spec["authorization"] = json.loads(json.dumps(authorization).replace("REDIRECT", uri))
        spec["app"] = {"secretRef": {"name": f"{name}-app"}}
        await site.kubectl.apply(secret(f"{name}-app", **app), channel(name, **spec))
        return scene

    @asynccontextmanager
    async def run(
        self, *arguments: str, command: str = "authorize", program: tuple[str, ...] = (),
        **environment: str,
    ) -> AsyncIterator[Command]:  # fmt: skip
        """Run the command for this channel; it is ended with the block, and has leaked nothing."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        whole = {
            "KUBECONFIG": str(self.site.plane.kubeconfig),
            "TWITCH_OPERATOR_IDENTITY_URL": self.site.twitch.identity_url,
            "TWITCH_OPERATOR_LOG_LEVEL": "DEBUG",
            "BROWSER": "/nonexistent %s",
        }
        named = (self.name, "-n", self.site.namespace) if "-n" not in arguments else (self.name,)
        process = _start(program, [command, *named, *arguments], whole | environment, folder)
        running = Command(process, folder)
        try:
            yield running
        finally:
            process.kill()
            process.communicate()
        told = running.out + running.errors
        assert not [each for each in self.credentials() if each in told]
        assert "Traceback" not in told

    def credentials(self) -> set[str]:
        twitch = self.site.twitch
        traded = {call.form().get("code", "") for call in twitch.calls(path="/oauth2/token")} - {""}
        return {self.client_secret, *self.site.credentials(), *twitch.logins._codes, *traded}

    async def consent(self, url: str) -> httpx.Response:
        """Do what a browser does with the consent page, signed in as the broadcaster."""
        return await self.browse(str(httpx.URL(url).copy_merge_params({"login": self.name})))

    async def browse(self, url: str) -> httpx.Response:
        async with httpx.AsyncClient(
            trust_env=False, verify=False, follow_redirects=True
        ) as client:
            return await client.get(url)

    async def given(self, key: str) -> str:
        """What the input Secret holds."""
        found = await self.site.kubectl.get("secret", f"{self.name}-grant")
        return base64.b64decode(found["data"][key]).decode()

    async def asked(self, annotation: str = _REQUESTED) -> str:
        """Wait until the operator is asked for something; returns the value."""

        def value(found: dict[str, Any]) -> object:
            return found["metadata"].get("annotations", {}).get(annotation)

        found = await self.site.kubectl.until_object("tch", self.name, value)
        return str(value(found))

    async def answer(
        self, *conditions: dict[str, str], answered: str = "", **status: object
    ) -> None:
        """Write the status as an operator would, by default as the answer to the request."""
        whole = {
            "lastHandledReconcileAt": answered or await self.asked(),
            "broadcaster": {"id": "1", "login": self.name},
            "conditions": conditions,
        } | status
        await self._write(whole)

    async def answer_revocation(self) -> None:
        await self._write({"lastHandledRevokeAt": await self.asked(_REVOKE)})

    async def make_ready(self) -> None:
        told = f"authorized by {self.name}"
        await self.answer(
            condition("Ready", "True", "Succeeded", told),
            condition("Authorized", "True", "Succeeded", told),
            authorization={"scopes": ["channel:edit:commercial"]},
        )

    async def _write(self, status: dict[str, Any]) -> None:
        await self.site.kubectl.patch("tch", self.name, {"status": status}, "status")


def _start(
    program: tuple[str, ...], arguments: list[str], environment: dict[str, str], folder: Path
) -> Program | subprocess.Popen[bytes]:
    whole = os.environ | environment
    with (folder / "out").open("wb") as out, (folder / "errors").open("wb") as errors:
        if not program:
            return Program(arguments, whole, out, errors, stdin=subprocess.PIPE)
        return subprocess.Popen(
            [*program, *arguments],
            env=whole,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=errors,
        )


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2027-01-15T08:00:00Z"}  # fmt: skip


def by_code(name: str) -> dict[str, Any]:
    """An authorization that is given by a code."""
    ref = {"name": f"{name}-grant", "key": "code"}
    return {"authorizationCode": {"secretKeyRef": ref, "redirectUri": "REDIRECT"}}


def free_port() -> int:
    """A port below those that the kernel hands out, so that nobody gets it meanwhile."""
    for port in random.sample(range(12_000, 20_000), 20):
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def listening(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0


async def account(site: Site, name: str, rules: list[dict[str, Any]], folder: Path) -> Path:
    """A ServiceAccount with these rights in the namespace, and a kubeconfig for it."""
    api = "rbac.authorization.k8s.io/v1"
    role = {"apiVersion": api, "kind": "Role", "metadata": {"name": name}, "rules": rules}
    await site.kubectl("create", "serviceaccount", name)
    await site.kubectl.apply(role)
    subject = f"--serviceaccount={site.namespace}:{name}"
    await site.kubectl("create", "rolebinding", name, f"--role={name}", subject)
    token = (await site.kubectl("create", "token", name)).strip()
    config = json.loads(await asyncio.to_thread(site.plane.kubeconfig.read_text))
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = site.namespace
    file = folder / f"{name}.kubeconfig"
    file.write_text(json.dumps(config))
    return file
