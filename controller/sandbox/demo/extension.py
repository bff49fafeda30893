"""The demo's part about an extension: its messages arrive, while its shared secret rotates."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from controller.sandbox.demo.cast import DemoError
from controller.sandbox.demo.examples import fill_extension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.sandbox.demo.cast import Program
    from controller.sandbox.demo.hands import Hands
    from controller.sandbox.demo.script import Script
    from controller.sandbox.stage import Stage

__all__ = ["CLIENT_ID", "EXTENSION", "TARGET_SECRET", "Extension", "Found"]

EXTENSION = "deck-tracker"
"""Name of the ExtensionApp in examples/extension.yaml."""

CLIENT_ID = "d72hk844mgvex3kbfhrgjtdoeqrh0t"
"""Its extension."""

TARGET_SECRET = "deck-tracker-secrets"  # noqa: S105 - a name
"""The Secret that the operator keeps for it."""

_OWNER_ID = "27419011"
_PROVIDER_CLIENT = {"client_id": "deck-tracker", "client_secret": "whisper"}
_ROTATION = {"interval": "10s", "activationDelay": "2s"}
_KEYS = ("current", "next", "previous")
_SENT_TIMEOUT = 60.0  # seconds for the gateway to start, and to know the extension; two are enough
_ROTATED_TIMEOUT = 60.0
_TICK = 0.3


@dataclass(frozen=True)
class Found:
    """What is known in the end.

    Attributes:
        before: Fingerprints of what the keys of the target Secret held at first.
        after: And in the end.
        known: Fingerprints of the secrets that simulated Twitch has.
        sent: The cards in the messages that the gateway took.
        received: Those in the messages that simulated Twitch got.
        log: The gateway's.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    known: frozenset[str]
    sent: tuple[str, ...]
    received: tuple[str, ...]
    log: str


class Extension:
    """The steps about it; `sign_up` and `note_keys` are parts of steps about other things, too.

    Args:
        script: Tells them.
        hands: Do them.
        stage: Where they happen.
        gateway: Serves the extension.
        url: Of the gateway.
    """

    def __init__(
        self, script: Script, hands: Hands, stage: Stage, gateway: Program, url: str
    ) -> None:
        self._script = script
        self._hands = hands
        self._stage = stage
        self._gateway = gateway
        self._url = url
        self._channel_id = self._token = ""
        self._before: dict[str, str] = {}
        self._sent: list[str] = []

    def sign_up(self, manifests: str, channel_id: str) -> str:
        """Let Twitch and the provider know the extension.

        Args:
            manifests: The example of an extension.
            channel_id: Of the broadcaster whose account may send messages.

        Returns:
            The example, to be applied here.
        """
        self._channel_id = channel_id
        extension = {"client_id": CLIENT_ID, "owner_id": _OWNER_ID}
        made = self._hands.post(f"{self._stage.twitch}/_sandbox/extensions", json.dumps(extension))
        clients = f"{self._stage.oauth}/_sandbox/clients"
        self._hands.post(clients, json.dumps(_PROVIDER_CLIENT))
        values = {("deck-tracker-bootstrap", "secret"): made.json()["secret"]}
        for field, value in _PROVIDER_CLIENT.items():
            values["deck-tracker-oauth", field.replace("_", "-")] = value
        introspection_url = f"{self._stage.oauth}/oauth2/introspect"
        return fill_extension(manifests, values, introspection_url, _ROTATION)

    def note_keys(self) -> None:
        """Remember what the target Secret holds: it is Ready, and so the Secret is there."""
        self._before = self._keys()

    def play(self) -> None:
        """The steps that are its own."""
        self._start_gateway()
        self._send_first()
        self._rotate()

    def _start_gateway(self) -> None:
        self._script.step("The gateway starts: the backend of the extension deck-tracker")
        env = self._stage.plane.folder / "env"
        self._script.command(f". {env} && twitch-operator gateway")
        process = self._gateway.start()
        self._script.output(f"process {process}, log {self._gateway.log}")

    def _send_first(self) -> None:
        self._script.step("A viewer's screen is to show a card: a desktop program says so")
        order = json.dumps({"account": "mst3k", "channels": [self._channel_id]})
        made = self._hands.post(f"{self._stage.oauth}/_sandbox/tokens", order)
        self._script.say("(Its answer has the access_token: TOKEN in what follows.)", "dim")
        self._token = made.json()["access_token"]
        self._send("Island")

    def _rotate(self) -> None:
        interval = _ROTATION["interval"]
        self._script.step(f"Each {interval} the extension's secret rotates, and messages go on")
        self._script.say(f"The keys of the Secret {TARGET_SECRET}, by their SHA-256:", "dim")
        shown: dict[str, str] = {}
        deadline = time.monotonic() + _ROTATED_TIMEOUT
        keys = self._before
        while True:
            if keys != shown:
                self._script.output("   ".join(f"{key} {keys.get(key, '-'):12}" for key in _KEYS))
                shown = keys
            if keys.get("current") != self._before["current"]:
                break
            if time.monotonic() > deadline:
                msg = f"the secret of {EXTENSION} did not rotate within {_ROTATED_TIMEOUT:.0f} s"
                raise DemoError(msg)
            self._hands.check(wait=_TICK)
            keys = self._keys()
        self._send("Mountain")
        self._hands.kubectl("get", f"extapp/{EXTENSION}")

    def found(self) -> Found:
        """What is to be checked."""
        after, twitch = self._keys(), self._at_twitch()
        return Found(
            before=self._before,
            after=after,
            known=frozenset(secret["fingerprint"] for secret in twitch["secrets"]),
            sent=tuple(self._sent),
            received=tuple(_card(each["message"]) for each in twitch["messages"]),
            log=self._gateway.read_log(),
        )

    def _send(self, card: str) -> None:
        body = json.dumps({"type": "card", "data": {"name": card}})
        headers = {
            "Authorization": f"Bearer {self._token}",
            "X-Twitch-Client-Id": CLIENT_ID,
            "X-Twitch-User-Id": self._channel_id,
        }
        shown = {**headers, "Authorization": "Bearer $TOKEN"}
        lines = [f'-H "{name}: {value}"' for name, value in shown.items()]
        self._script.command(
            " \\\n    ".join([f"curl {self._url}/send/", *lines, f"-d {shlex.quote(body)}"])
        )
        answer = self._until_taken(headers, body)
        self._script.output(answer.text)
        self._sent.append(card)
        self._script.curl(self._at_twitch_url)
        got = self._at_twitch()["messages"][-1]
        self._script.output(f"channel {got['channel']}: {got['message']}")

    def _until_taken(self, headers: Mapping[str, str], body: str) -> httpx.Response:
        """Send a message; again where the gateway does not listen yet, or not know it yet."""
        deadline = time.monotonic() + _SENT_TIMEOUT
        while True:
            self._hands.check(wait=_TICK)
            told = "nothing"
            try:
                answer = httpx.post(
                    f"{self._url}/send/", headers=headers, content=body, trust_env=False
                )
                if answer.status_code == httpx.codes.OK:
                    return answer
                told = f"{answer.status_code}: {answer.text}"
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                msg = f"the gateway at {self._url} did not take the message; it answered {told}"
                raise DemoError(msg)

    def _keys(self) -> dict[str, str]:
        """Fingerprints of what the target Secret holds, by key."""
        told = self._stage.plane.run_kubectl(
            "get", "secret", TARGET_SECRET, "-o", "json", check=True
        )
        data: dict[str, str] = json.loads(told.stdout).get("data", {})
        return {
            key: hashlib.sha256(base64.b64decode(data[key])).hexdigest()[:12]
            for key in _KEYS
            if key in data
        }

    @property
    def _at_twitch_url(self) -> str:
        return f"{self._stage.twitch}/_sandbox/extensions/{CLIENT_ID}"

    def _at_twitch(self) -> dict[str, Any]:
        answer = httpx.get(self._at_twitch_url, trust_env=False)
        told: dict[str, Any] = answer.raise_for_status().json()
        return told


def _card(message: str) -> str:
    """The card that a message is about."""
    name: str = json.loads(message)["data"]["name"]
    return name
