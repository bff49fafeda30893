"""What GitOps tools make of each state that the operator writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from controller.channels.policies.conditions import channel_findings
from controller.extensions.policies.conditions import extension_findings
from controller.policies.findings import Finding
from controller.policies.problems import Blocked
from controller.resources.twitchchannel import TwitchChannelStatus
from controller.runtime.conditions import to_conditions
from controller.triggers.policies.conditions import rule_findings
from tests.gitops.tools import argo_health, flux_health, kstatus
from tests.unit.test_conditions_policy import CHANNEL, RULE
from tests.unit.test_extension_conditions import GOOD

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_700_000_000.0
WAITS = Blocked("SecretNotFound", "Secret app does not exist", human=False)
HUMAN = Blocked("ClientRejected", "correct client-secret", human=True)
PAUSED = Finding("Ready", "False", "Paused", "by alice")


@dataclass(frozen=True)
class State:
    """An object, and the health that each tool is to see in it."""

    kind: str
    change: Mapping[str, Any]
    kstatus: str
    flux: str
    argo: str
    generation: int = 1

    @property
    def object(self) -> dict[str, Any]:
        """As the operator writes it for generation 1."""
        found: tuple[Finding, ...]
        if self.kind == "TwitchChannel":
            found = channel_findings(replace(CHANNEL, **self.change))
        elif self.kind == "TriggerRule":
            found = rule_findings(replace(RULE, **self.change))
        else:
            found = extension_findings(replace(GOOD, **self.change))
        # The part that all kinds have; observedGeneration and conditions are written alike.
        status = TwitchChannelStatus(
            observed_generation=1, conditions=to_conditions(found, (), 1, NOW)
        )
        return made(self.kind, self.generation, status.to_status())


def made(kind: str, generation: int, status: Mapping[str, Any]) -> dict[str, Any]:
    meta = {"name": "a", "namespace": "tv", "generation": generation}
    api = "twitch-operator.dev/v1alpha1"
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": {}, "status": dict(status)}


CURRENT = ("Current", "Current", "Healthy")
WAITING = ("InProgress", "InProgress", "Progressing")
STUCK = ("Failed", "Failed", "Degraded")
WISHED = ("InProgress", "Current", "Suspended")
STATES = [
    State("TwitchChannel", {}, *CURRENT),
    State("TwitchChannel", {"live": False}, *CURRENT),
    State("TwitchChannel", {"live": None, "next_ad": NOW}, *CURRENT),
    State("TwitchChannel", {}, *WAITING, generation=2),
    State("TwitchChannel", {"blocked": HUMAN}, *WAITING, generation=2),
    State("TwitchChannel", {"blocked": WAITS}, *WAITING),
    State("TwitchChannel", {"expires_at": None}, *WAITING),
    State("TwitchChannel", {"expires_at": None, "failure": "Twitch answered 503"}, *WAITING),
    State("TwitchChannel", {"stream_key": False}, *WAITING),
    State("TwitchChannel", {"blocked": HUMAN}, *STUCK),
    State("TwitchChannel", {"spec_problem": "spec.x: wrong"}, *STUCK),
    State("TwitchChannel", {"conflict": "elder"}, *STUCK),
    State("TwitchChannel", {"broadcaster_type": ""}, *STUCK),
    State("TwitchChannel", {"stream_key": False, "stream_key_problem": HUMAN}, *STUCK),
    # It works, and a human must act before it ends.
    State("TwitchChannel", {"ending": HUMAN}, *STUCK),
    State("TwitchChannel", {"refused_input": HUMAN}, *STUCK),
    State("TwitchChannel", {"suspended": True}, *WISHED),
    State("TwitchChannel", {"paused": "by alice"}, *WISHED),
    State("TwitchChannel", {"suspended": True, "blocked": WAITS}, *WISHED),
    State("TwitchChannel", {"suspended": True, "blocked": HUMAN}, *STUCK),
    State("TriggerRule", {}, *CURRENT),
    State("TriggerRule", {"skew": 60.0}, *CURRENT),
    State("TriggerRule", {"feed_connected": None}, *WAITING),
    State("TriggerRule", {"feed_connected": False}, *WAITING),
    State("TriggerRule", {"channel_ready": None}, *WAITING),
    State("TriggerRule", {"channel_ready": PAUSED}, *WAITING),
    State("TriggerRule", {"silent_since": NOW}, *WAITING),
    State("TriggerRule", {"feed_connected": False, "feed_remedy": "correct the key"}, *STUCK),
    State("TriggerRule", {"problem": HUMAN}, *STUCK),
    State("TriggerRule", {"expression": "no such field"}, *STUCK),
    State("TriggerRule", {"suspended": True}, *WISHED),
    State("ExtensionApp", {}, *CURRENT),
    State("ExtensionApp", {"stored": False}, *WAITING),
    State("ExtensionApp", {"blocked": WAITS}, *WAITING),
    State("ExtensionApp", {"revoking": True}, *WAITING),
    State("ExtensionApp", {"blocked": HUMAN}, *STUCK),
    State("ExtensionApp", {"conflict": "elder"}, *STUCK),
    State("ExtensionApp", {"warning": HUMAN}, *STUCK),
]
KINDS = ("TwitchChannel", "TriggerRule", "ExtensionApp")


def health(judged: list[tuple[str, str]]) -> list[str]:
    return [status for status, _ in judged]


def test_kstatus_sees_what_waits_what_fails_and_what_is_ready() -> None:
    assert health(kstatus([each.object for each in STATES])) == [each.kstatus for each in STATES]


@pytest.mark.parametrize("kind", KINDS)
def test_flux_counts_what_somebody_paused_as_current(kind: str) -> None:
    states = [each for each in STATES if each.kind == kind]
    judged = flux_health(kind, [each.object for each in states])
    assert health(judged) == [each.flux for each in states]


def test_argo_cd_sees_the_same_and_tells_suspended_apart() -> None:
    assert health(argo_health([each.object for each in STATES])) == [each.argo for each in STATES]


def test_a_tool_shows_the_operators_message() -> None:
    stuck = State("TwitchChannel", {"blocked": HUMAN}, *STUCK).object
    assert kstatus([stuck]) == [("Failed", HUMAN.message)]
    assert argo_health([stuck]) == [("Degraded", HUMAN.message)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_the_operator_has_not_seen_is_not_ready(kind: str) -> None:
    # As the API server stores a new object: tests/cluster/test_gitops.py.
    new = [made(kind, 1, {"observedGeneration": -1})]
    assert health(kstatus(new)) == ["InProgress"]
    assert health(flux_health(kind, new)) == ["InProgress"]
    assert health(argo_health(new)) == ["Progressing"]
    # Without the CRD's default kstatus would take it for ready.
    assert health(kstatus([made(kind, 1, {})])) == ["Current"]
