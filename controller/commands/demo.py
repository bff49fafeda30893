"""`twitch-operator demo`: everything on this machine, step by step, each with its command."""

from __future__ import annotations

import json
import shlex
import time
from contextlib import ExitStack
from subprocess import SubprocessError
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from controller.commands.sandbox import install_crds
from controller.sandbox import controlplane
from controller.sandbox.controlplane import ControlPlaneError
from controller.sandbox.controlplane.kubeconfig import write_private
from controller.sandbox.demo.cast import (
    DemoError,
    HTTPError,
    Program,
    post,
    read_commercials,
    read_resources,
)
from controller.sandbox.demo.consent import free_port, free_redirect_uri, play_consent
from controller.sandbox.demo.examples import examples_folder, fill_secrets, short_path, stamp
from controller.sandbox.demo.extension import Extension
from controller.sandbox.demo.hands import Hands
from controller.sandbox.demo.hints import hints
from controller.sandbox.demo.outcome import DemoFacts, judge
from controller.sandbox.demo.script import Script
from controller.sandbox.demo.table import tables
from controller.sandbox.stage import Stage, signals_interrupt, write_exports
from controller.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["run_demo"]

_TOPIC = "mst3k.playout"
_GRANTS = {"mst3k": "mst3k-grant", "mst3k_eu": "mst3k-eu-grant"}
_MESSAGES = ("scte35", "video")
_BROKEN = "mst3k"  # whose password is changed
_READY_TIMEOUT = 30  # seconds, as kubectl waits if not told otherwise; two are enough
_FIRED_TIMEOUT = 10
_ALL = "tch,trule,extapp"
_STALLED_TIMEOUT = 20  # a changed password is found by the next validation
_WIDE = 120  # columns that `kubectl get` of both kinds at once takes
_TICK = 1.0

_GATEWAY_ADDRESS = f"{PREFIX}GATEWAY_ADDRESS"
_SETTINGS = {
    # A newcomer who sees a grant broken shall not have to wait an hour for the next validation.
    f"{PREFIX}VALIDATE_INTERVAL": "2s",
    f"{PREFIX}LIVE_CHECK_INTERVAL": "5s",
    f"{PREFIX}SECRET_CHECK_INTERVAL": "5s",
    f"{PREFIX}LOG_FORMAT": "text",  # it is read for errors
}


def run_demo(*, once: bool) -> int:
    """Run the demo.

    Args:
        once: Check the outcome and end; else stay up until Ctrl-C or SIGTERM.

    Returns:
        The exit code: 0 where all went well, 1 where not, 130 when it was interrupted before.
    """
    script = Script(Console(highlight=False))
    try:
        with signals_interrupt(), ExitStack() as stack:
            demo = _raise_curtain(script, stack)
            demo.play()
            if once:
                return demo.judge()
            demo.stay()
    except KeyboardInterrupt:
        script.say()
        return 130
    except (ControlPlaneError, DemoError, OSError, SubprocessError, HTTPError) as error:
        script.error(str(error))
        return 1
    return 0


def _raise_curtain(script: Script, stack: ExitStack) -> _Demo:
    script.say("A playout cue becomes a Twitch commercial: a real Kubernetes API server,")
    script.say("simulated Twitch and PubNub, and the operator, all on this machine.")
    script.step("Kubernetes starts, and simulated Twitch, PubNub and OAuth2 provider")
    script.command("twitch-operator sandbox")
    plane = stack.enter_context(controlplane.start())
    stage = stack.enter_context(Stage(plane))
    address = f"127.0.0.1:{free_port()}"
    variables = stage.environment | _SETTINGS | {_GATEWAY_ADDRESS: address}
    write_exports(plane.folder / "env", variables, plane.kubectl)
    operator = stack.enter_context(Program("operator", "run", plane.folder, variables))
    gateway = stack.enter_context(Program("gateway", "gateway", plane.folder, variables))
    script.output(
        f"Kubernetes at {plane.server}\nTwitch     at {stage.twitch}\n"
        f"PubNub     at {stage.pubnub}\nOAuth2     at {stage.oauth}"
    )
    return _Demo(script, stage, operator, gateway, variables)


class _Demo:
    """The steps, in their order.

    Args:
        script: Tells them.
        stage: Where they happen.
        operator: Whom they are about.
        gateway: The extension's backend.
        variables: The environment of the commands.
    """

    def __init__(
        self,
        script: Script,
        stage: Stage,
        operator: Program,
        gateway: Program,
        variables: Mapping[str, str],
    ) -> None:
        self._script = script
        self._stage = stage
        self._plane = stage.plane
        self._operator = operator
        self._variables = variables
        self._hands = hands = Hands(script, stage.plane, (operator, gateway))
        self._extension = Extension(
            script, hands, stage, gateway, f"http://{variables[_GATEWAY_ADDRESS]}"
        )
        self._control = f"{stage.twitch}/_sandbox"
        self._examples = examples_folder()
        self._redirect_uri = free_redirect_uri()
        self._broadcasters: dict[str, str] = {}
        self._password_changed: float | None = None

    def play(self) -> None:
        """All steps, up to what came of them."""
        self._install_crds()
        self._make_secrets(self._sign_up())
        self._add_extension()
        self._start_operator()
        self._declare()
        self._publish()
        self._show()
        self._change_password()
        self._consent_anew()
        self._extension.play()

    def judge(self) -> int:
        """Check the outcome, and tell it; returns the exit code."""
        facts = DemoFacts(
            resources=read_resources(self._plane),
            commercials=read_commercials(self._stage.twitch),
            log=self._operator.read_log(),
            now=time.time(),
            broken=_BROKEN,
            broken_at=self._password_changed,
            extension=self._extension.found(),
        )
        code = judge(self._script, facts)
        self._hands.check()
        return code

    def stay(self) -> None:
        """Tell what else to try, and show the state, until an interrupt."""
        told = hints(self._stage, self._operator.log, _TOPIC, self._redirect_uri)
        self._script.say(told)
        try:
            if self._script.console.is_terminal:
                self._show_live()
            else:
                self._show_changes()
        except KeyboardInterrupt:
            self._script.say("\nEnding.")

    # Steps

    def _install_crds(self) -> None:
        self._script.step("The CRDs are installed")
        self._script.command("twitch-operator crds | kubectl apply --server-side -f -")
        self._script.output(install_crds(self._plane))

    def _sign_up(self) -> dict[tuple[str, str], str]:
        """Returns the values for the Secrets, by name and key."""
        self._script.step("Twitch gets an application, and two broadcasters who consent to it")
        app = {"client_id": "demo", "client_secret": "hush", "redirect_uris": [self._redirect_uri]}
        self._order("apps", json.dumps(app))
        values = {
            ("twitch-app", "client-id"): "demo",
            ("twitch-app", "client-secret"): "hush",
            ("playout-pubnub", "subscribe-key"): self._stage.subscribe_key,
        }
        for login, secret in _GRANTS.items():
            made = json.loads(self._order("broadcasters", f'{{"login": "{login}"}}'))
            self._broadcasters[login] = made["broadcaster_id"]
            tokens = self._order(f"broadcasters/{login}/consent", '{"client_id": "demo"}')
            values[secret, "refresh-token"] = json.loads(tokens)["refresh_token"]
        return values

    def _make_secrets(self, values: dict[tuple[str, str], str]) -> None:
        self._script.step("Kubernetes gets the Secrets of examples/secrets.yaml, filled in")
        file = self._plane.folder / "secrets.yaml"
        write_private(file, fill_secrets((self._examples / "secrets.yaml").read_text(), values))
        self._hands.kubectl("apply", "-f", str(file))

    def _add_extension(self) -> None:
        self._script.step("Twitch gets an extension, and an OAuth2 provider its backend's login")
        example = (self._examples / "extension.yaml").read_text()
        filled = self._extension.sign_up(example, self._broadcasters["mst3k"])
        write_private(self._plane.folder / "extension.yaml", filled)

    def _start_operator(self) -> None:
        self._script.step("The operator starts")
        self._script.command(f". {self._plane.folder / 'env'} && twitch-operator run")
        process = self._operator.start()
        self._script.output(f"process {process}, log {self._operator.log}")

    def _declare(self) -> None:
        self._script.step("Two channels, two rules and an extension are applied, and become Ready")
        channels, rules = (self._examples / name for name in ("channels.yaml", "rules.yaml"))
        self._hands.kubectl("apply", "-f", short_path(channels), "-f", short_path(rules))
        self._hands.kubectl("apply", "-f", str(self._plane.folder / "extension.yaml"))
        if not self._hands.wait("condition=Ready", _ALL, "--all", timeout=_READY_TIMEOUT):
            told = self._plane.run_kubectl("get", _ALL, "-o", "wide").stdout
            msg = f"not all became Ready within {_READY_TIMEOUT} s; kubectl get shows:\n{told}"
            raise DemoError(msg)
        self._extension.note_keys()

    def _publish(self) -> None:
        self._script.step("The playout system announces one ad break, in its two ways")
        for name in _MESSAGES:
            message = (self._examples / "messages" / f"{name}.json").read_text()
            file = self._plane.folder / f"{name}.json"
            file.write_text(stamp(message, time.time()))
            url = self._stage.publish_url(_TOPIC)
            self._script.curl(url, f"@{file}")
            self._script.output(post(url, file.read_text()).text)

    def _show(self) -> None:
        self._script.step("What fired, when, and when it may again")
        fired = "jsonpath={.status.counts.fired}=1"
        self._hands.wait(fired, "trule", "--all", timeout=_FIRED_TIMEOUT)
        kinds = ["twitchchannels,triggerrules"]
        if self._script.console.is_terminal and self._script.console.width < _WIDE:
            kinds = kinds[0].split(",")
        for kind in kinds:
            self._hands.kubectl("get", kind)
        self._script.curl(f"{self._control}/commercials")
        ran = [f"{it['login']}: {it['requested']} s" for it in read_commercials(self._stage.twitch)]
        self._script.output(", ".join(ran) or "none")

    def _change_password(self) -> None:
        channel = f"tch/{_BROKEN}"
        self._script.step(f"The broadcaster {_BROKEN} changes the password, and all grants die")
        self._password_changed = time.time()
        self._script.output(self._order(f"broadcasters/{_BROKEN}/password"))
        if not self._hands.wait("condition=Stalled", channel, timeout=_STALLED_TIMEOUT):
            msg = f"the channel {_BROKEN} was not Stalled within {_STALLED_TIMEOUT} s"
            raise DemoError(msg)
        self._hands.kubectl("get", channel)
        message = 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'
        self._hands.kubectl("get", channel, "-o", message)

    def _consent_anew(self) -> None:
        self._script.step("The broadcaster consents again, and the channel is Ready again")
        self._order(f"broadcasters/{_BROKEN}/sign-in")
        command = ["authorize", _BROKEN, "--no-browser"]
        redirect = ["--redirect-uri", self._redirect_uri]
        self._script.command(
            f"twitch-operator {shlex.join(command)} \\\n    {shlex.join(redirect)}"
        )
        folder = self._plane.folder
        asked, told = play_consent([*command, *redirect], folder, self._variables)
        self._script.output(asked)
        self._script.say("(Here the demo does what a browser would do with that address.)", "dim")
        self._script.output(told)
        self._hands.wait("condition=Ready", "tch,trule", "--all", timeout=_READY_TIMEOUT)
        self._hands.kubectl("get", f"tch/{_BROKEN}")

    # Staying up

    def _show_live(self) -> None:
        with Live(console=self._script.console, refresh_per_second=4) as live:
            while True:
                live.update(tables(read_resources(self._plane), time.time()))
                self._hands.check(wait=_TICK)

    def _show_changes(self) -> None:
        shown = ""
        while True:
            with self._script.console.capture() as capture:
                self._script.console.print(tables(read_resources(self._plane), None))
            state = "\n".join(line.rstrip() for line in capture.get().splitlines())
            if state != shown:
                self._script.say(f"\n{state}")
                shown = state
            self._hands.check(wait=_TICK)

    # Helpers

    def _order(self, order: str, body: str = "{}") -> str:
        return self._hands.post(f"{self._control}/{order}", body).text
