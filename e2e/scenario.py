"""What a user does with the chart, in order, and what must come of it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from controller.sandbox.demo.cast import post, read_commercials
from controller.sandbox.demo.examples import examples_folder, fill_secrets, stamp
from e2e.image import NAME, image_version
from e2e.node import WORLD, eventually
from e2e.tools import Failure, say
from tests.chart.helm import CHART, helm
from tests.cluster.manifests import channel, message, rule, secret

if TYPE_CHECKING:
    from controller.sandbox.stage import Stage
    from e2e.node import Node

__all__ = ["Scenario"]

HOME = "twitch"
RELEASE = "tw"
DEPLOYMENT = "tw-twitch-operator"
_LIMIT = 30.0  # seconds from `helm install` to the first commercial
_STREAM = 60  # channels, each of which gets one cue in the stream, one a second
_EXAMPLES = {"mst3k": "mst3k-grant", "mst3k_eu": "mst3k-eu-grant"}
_TOPIC = "mst3k.playout"
_PODS = ("get", "pods", "-n", HOME, "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "json")


class Scenario:
    """The steps; each raises `Failure` if it does not come out as it must.

    Args:
        stage: The control plane, and simulated Twitch and PubNub.
        node: Where Pods run.
    """

    def __init__(self, stage: Stage, node: Node) -> None:
        self._stage = stage
        self._plane = stage.plane
        self._node = node
        self._announced: list[str] = []  # logins, by cue
        self._values: dict[str, Any] = {
            "image": {"repository": NAME, "tag": image_version(), "pullPolicy": "Never"},
            "settings": {
                "helixUrl": f"{self._outside(stage.twitch)}/helix",
                "identityUrl": f"{self._outside(stage.twitch)}/oauth2",
                "pubnubOrigin": self._outside(stage.pubnub).removeprefix("http://"),
                "pubnubTls": False,
            },
        }

    def play(self) -> None:
        """All steps."""
        self._plane.run_kubectl("create", "namespace", HOME, check=True)
        restricted = "pod-security.kubernetes.io/enforce=restricted"
        self._plane.run_kubectl("label", "namespace", HOME, restricted, check=True)
        secrets = self._sign_up()
        self._first_commercial(secrets)
        self._helm_test()
        self._upgrade_under_cues()
        self._lose_the_leader()
        self._uninstall()
        self._count()

    def _sign_up(self) -> str:
        """Twitch gets an application and the broadcasters; returns the Secrets of the examples."""
        self._order("apps", client_id="demo", client_secret="hush")  # noqa: S106 - opens nothing
        values = {
            ("twitch-app", "client-id"): "demo",
            ("twitch-app", "client-secret"): "hush",
            ("playout-pubnub", "subscribe-key"): self._stage.subscribe_key,
        }
        for login, name in _EXAMPLES.items():
            values[name, "refresh-token"] = self._consent(login)
        return fill_secrets((examples_folder() / "secrets.yaml").read_text("utf-8"), values)

    def _first_commercial(self, secrets: str) -> None:
        """Install, apply the examples, announce a break: measured, images present."""
        began = time.monotonic()
        self._helm("install", RELEASE, str(CHART))
        say("helm install: done")
        self._plane.until_established("crd", "--all")
        self._apply(secrets)
        examples = [f"{examples_folder()}/{name}.yaml" for name in ("channels", "rules")]
        self._plane.run_kubectl(
            "apply", "-n", HOME, "-f", examples[0], "-f", examples[1], check=True
        )
        self._until_ready()
        say(f"operator Running, examples Ready {time.monotonic() - began:.1f} s after the start")
        text = (examples_folder() / "messages" / "scte35.json").read_text("utf-8")
        post(self._stage.publish_url(_TOPIC), stamp(text, time.time()))
        self._announced.append("mst3k")
        self._until_all_ran()
        took = time.monotonic() - began
        say(f"helm install to first commercial: {took:.1f} s (at most {_LIMIT:.0f} s)")
        if took > _LIMIT:
            msg = f"from helm install to the first commercial it took {took:.1f} s"
            raise Failure(msg)

    def _helm_test(self) -> None:
        self._node.name_service(DEPLOYMENT, HOME)
        self._helm("test", RELEASE, "--timeout", "90s", values=False)
        say("helm test: passed")

    def _upgrade_under_cues(self) -> None:
        """Another value replaces the Pod while each second brings a cue of another channel."""
        logins = self._add_channels()
        before = self._pods()
        done = threading.Event()
        publisher = threading.Thread(target=self._publish, args=(logins, done), daemon=True)
        publisher.start()
        eventually("the first cue of the stream", lambda: len(self._announced) > 3)
        began = time.monotonic()
        self._values["settings"]["statusInterval"] = "5s"
        self._helm("upgrade", RELEASE, str(CHART))
        self._node.wait("another Pod ready", lambda: self._replaced(before))
        took = time.monotonic() - began
        eventually("a cue after the upgrade", self._counter(len(self._announced) + 3))
        done.set()
        publisher.join()
        self._until_all_ran()
        count = len(self._announced) - 1
        say(f"helm upgrade under {count} cues: the new Pod was ready after {took:.1f} s, none lost")

    def _lose_the_leader(self) -> None:
        """Of two replicas, the Pod of the one that leads is deleted, and a cue comes."""
        before = self._pods()
        self._values["replicaCount"] = 2
        self._helm("upgrade", RELEASE, str(CHART))
        self._node.wait("two Pods ready", lambda: self._replaced(before, count=2))
        leader = eventually("a leader", self._leader)
        login = f"s{_STREAM - 1}"
        self._plane.run_kubectl("delete", "pod", "-n", HOME, leader, "--wait=false", check=True)
        began = time.monotonic()
        self._announce(login)
        self._until_all_ran()
        say(f"leader deleted: the next cue ran {time.monotonic() - began:.1f} s later")
        self._node.wait("another leader", lambda: self._leader() not in {None, leader})

    def _leader(self) -> str | None:
        """The Pod whose UID is in the Lease."""
        path = "jsonpath={.items[*].spec.holderIdentity}"
        holder = self._plane.run_kubectl("get", "lease", "-n", HOME, "-o", path, check=True).stdout
        found = json.loads(self._plane.run_kubectl(*_PODS, check=True).stdout)["items"]
        names = {each["metadata"]["uid"]: each["metadata"]["name"] for each in found}
        return names.get(holder)

    def _uninstall(self) -> None:
        kept = self._resources()
        self._helm("uninstall", RELEASE, values=False)
        self._node.wait("no Pod", lambda: not self._pods())
        if self._resources() != kept:
            msg = f"helm uninstall changed the resources:\n{kept}\n{self._resources()}"
            raise Failure(msg)
        say(f"helm uninstall: no Pod is left, and all {len(kept)} resources are")

    def _count(self) -> None:
        """At the very end: each cue one commercial, and no other one."""
        ran = Counter(each["login"] for each in read_commercials(self._stage.twitch))
        wanted = Counter(self._announced)
        if ran != wanted:
            msg = f"lost: {wanted - ran or 'none'}; twice: {ran - wanted or 'none'}"
            raise Failure(msg)
        say(f"{len(wanted)} cues, {ran.total()} commercials: none lost, none twice")

    def _add_channels(self) -> list[str]:
        logins = [f"s{number}" for number in range(_STREAM)]
        items: list[dict[str, Any]] = []
        for login in logins:
            feed = {"pubnub": {"secretRef": {"name": "playout-pubnub"}, "topics": [login]}}
            items.append(secret(f"{login}-grant", refresh_token=self._consent(login)))
            items += [channel(login), rule(login, feed=feed, maxAge="2m")]
        whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        create = ("create", "-n", HOME, "-f", "-")
        self._plane.run_kubectl(*create, input=whole, check=True, timeout=90)
        self._until_ready()
        say(f"{_STREAM} more channels with a rule each are Ready")
        return logins

    def _publish(self, logins: list[str], done: threading.Event) -> None:
        for login in logins[:-1]:  # the last one is for later
            self._announce(login)
            if done.wait(1):
                return

    def _announce(self, login: str) -> None:
        post(self._stage.publish_url(login), json.dumps(message()))
        self._announced.append(login)

    def _until_all_ran(self) -> None:
        def ran() -> bool:
            made = {each["login"] for each in read_commercials(self._stage.twitch)}
            return made.issuperset(self._announced)

        self._node.wait("a commercial for each cue", ran)

    def _counter(self, count: int) -> Any:  # noqa: ANN401 - a condition to wait for
        return lambda: len(self._announced) >= count

    def _until_ready(self) -> None:
        self._node.wait("channels and rules Ready", self._all_ready)

    def _all_ready(self) -> bool:
        get = ("get", "tch,trule", "-n", HOME, "-o", "json")
        found = json.loads(self._plane.run_kubectl(*get, check=True).stdout)["items"]
        return bool(found) and all(_is_ready(each) for each in found)

    def _pods(self) -> list[str]:
        found = json.loads(self._plane.run_kubectl(*_PODS, check=True).stdout)["items"]
        return [each["metadata"]["name"] for each in found]

    def _replaced(self, before: list[str], count: int = 1) -> bool:
        """Whether so many Pods are ready, and those from before are gone."""
        found = json.loads(self._plane.run_kubectl(*_PODS, check=True).stdout)["items"]
        now = {each["metadata"]["name"] for each in found}
        return sum(map(_is_ready, found)) == count and not now & set(before)

    def _resources(self) -> list[str]:
        told = self._plane.run_kubectl("get", "tch,trule", "-n", HOME, "-o", "name", check=True)
        return told.stdout.split()

    def _apply(self, manifests: str) -> None:
        self._plane.run_kubectl(
            "apply", "-n", HOME, "-f", "-", input=manifests, check=True, timeout=90
        )

    def _helm(self, *arguments: str, values: bool = True) -> None:
        where = ("--kubeconfig", str(self._plane.kubeconfig), "-n", HOME)
        done = helm(*arguments, *where, values=self._values if values else None)
        if done.returncode != 0:
            msg = f"helm {' '.join(arguments)} failed: {done.stdout}{done.stderr}"
            raise Failure(msg)

    def _consent(self, login: str) -> str:
        """Make a broadcaster who consents; returns the refresh token."""
        self._order("broadcasters", login=login)
        answer = self._order(f"broadcasters/{login}/consent", client_id="demo")
        return str(answer["refresh_token"])

    def _order(self, path: str, **body: object) -> dict[str, Any]:
        answer = post(f"{self._stage.twitch}/_sandbox/{path}", json.dumps(body))
        return dict(answer.json())

    @staticmethod
    def _outside(url: str) -> str:
        """The address at which a Pod reaches a simulator."""
        return url.replace("127.0.0.1", WORLD)


def _is_ready(resource: dict[str, Any]) -> bool:
    conditions = resource.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
