"""Statuses, columns and descriptions of the CRDs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.common import Condition
from controller.resources.kind import GROUP, VERSION
from controller.resources.schema import KINDS
from controller.resources.triggerrule import (
    Counts,
    NearestMiss,
    RecentDecision,
    TriggerRuleStatus,
)
from controller.resources.twitchchannel import (
    AdScheduleStatus,
    AuthorizationStatus,
    Broadcaster,
    Commercials,
    LastFire,
    RecentCue,
    TwitchChannelStatus,
)
from tests.cluster.crd_cases import (
    FAR_AHEAD,
    LONG_AGO,
    MANY,
    ROOT,
    channel,
    create,
    resource,
    rule,
)

if TYPE_CHECKING:
    from controller.sandbox.controlplane import ControlPlane


pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


CONDITIONS = tuple(
    Condition(
        type=aspect,
        status="True",
        observed_generation=1,
        last_transition_time=LONG_AGO,
        reason="Succeeded",
        message=MANY,
    )
    for aspect in ("Ready", "Live", "FeedConnected", "Suspended", "Reconciling", "Stalled")
)

CHANNEL_STATUS = TwitchChannelStatus(
    observed_generation=1,
    last_handled_reconcile_at=MANY,
    last_handled_revoke_at=MANY,
    last_handled_fire_at=MANY,
    last_fire=LastFire(requested_at=MANY, verdict="Fired", detail=MANY),
    conditions=CONDITIONS,
    broadcaster=Broadcaster(id="642998111", login="mst3k", display_name=MANY, type="partner"),
    authorization=AuthorizationStatus(
        scopes=("channel:edit:commercial",) * 200,
        expiration_time=FAR_AHEAD,
        last_refresh_time=LONG_AGO,
        last_validation_time=LONG_AGO,
        verification_uri=f"https://www.twitch.tv/activate?device-code={MANY}",
        user_code=MANY,
        user_code_expiration_time=FAR_AHEAD,
    ),
    commercials=Commercials(
        last_start_time=LONG_AGO,
        last_length_seconds=125,
        last_message=MANY,
        retry_after_seconds=480,
        next_eligible_time=FAR_AHEAD,
        last_confirmed_time=LONG_AGO,
        recent_cues=(
            RecentCue(
                cue_id=MANY,
                publish_time=LONG_AGO + 0.124,
                start_time=LONG_AGO + 0.2,
                length_seconds=125,
                result="Fired",
                due_time=LONG_AGO + 0.15,
                break_seconds=125.48,
                accepted_seconds=125,
                rule=MANY,
            ),
        )
        * 30,
    ),
    ad_schedule=AdScheduleStatus(
        last_ad_time=LONG_AGO,
        next_ad_time=FAR_AHEAD,
        snooze_count=3,
        preroll_free_seconds=600,
    ),
)

RULE_STATUS = TriggerRuleStatus(
    observed_generation=1,
    last_handled_reconcile_at=MANY,
    conditions=CONDITIONS,
    channels="mst3k",
    last_event_time=LONG_AGO,
    last_fired_time=LONG_AGO,
    retry_after_seconds=480,
    next_eligible_time=FAR_AHEAD,
    counts=Counts(matched=2**53, fired=17, skipped=23, failed=0),
    recent_decisions=(
        RecentDecision(
            event_id=MANY,
            time=LONG_AGO + 0.2,
            verdict="Fired",
            detail="commercial of 125 s",
            latency_milliseconds=3.7,
            channel=MANY,
        ),
    )
    * 30,
    nearest_miss=NearestMiss(
        event_id=MANY, time=LONG_AGO + 0.2, topic=MANY, passed=2, tests=3, detail=MANY
    ),
)

STATUSES = [(channel(), CHANNEL_STATUS), (rule(), RULE_STATUS)]


@pytest.fixture
def reported(control_plane: ControlPlane, namespace: str) -> str:
    """A namespace with an object of each kind and its status."""
    for manifest, status in STATUSES:
        created = create(control_plane, manifest, "-n", namespace)
        assert created.returncode == 0, created.stderr
        name, kind = manifest["metadata"]["name"], manifest["kind"]
        applied = control_plane.run_kubectl(
            *("apply", "--server-side", "--subresource=status", "--validate=strict"),
            *("-n", namespace, "-f", "-"),
            input=json.dumps(resource(kind, name, status=status.to_status())),
        )
        assert applied.returncode == 0, applied.stderr
    return namespace


def test_the_fullest_status_is_accepted_and_nothing_of_it_is_lost(
    control_plane: ControlPlane, reported: str
) -> None:
    for manifest, status in STATUSES:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        stored = control_plane.run_kubectl("get", kind, name, "-n", reported, "-o", "json").stdout

        assert json.loads(stored)["status"] == status.to_status()
        assert type(status).from_status(json.loads(stored)["status"]) == status


AN_AGE = r"[0-9][0-9a-z]*"
AHEAD = "2100-01-01T00:00:00Z"


CHANNEL_SHOWN = {
    "NAME": "mst3k",
    "READY": "True",
    "LIVE": "True",
    "LAST-RUN": AN_AGE,
    "LENGTH": "125",
    "CONFIRMED": AN_AGE,
    "NEXT-OK": AHEAD,
    "REASON": "Succeeded",
}
CHANNEL_SHOWN_WIDE = {
    "LOGIN": "mst3k",
    "BROADCASTER": "642998111",
    "TYPE": "partner",
    "EXPIRES": AHEAD,
    "USER-CODE": "x{63}…",
    "LAST-RESULT": "Fired",
    "NEXT-AD": AHEAD,
    "AGE": AN_AGE,
}
RULE_SHOWN = {
    "NAME": "ad-assets",
    "READY": "True",
    "FEED": "True",
    "CHANNEL": "mst3k",
    "LAST-CUE": AN_AGE,
    "VERDICT": "Fired",
    "FIRED": "17",
    "SKIPPED": "23",
    "FAILED": "0",
    "REASON": "Succeeded",
}
RULE_SHOWN_WIDE = {
    "MODE": "Enforce",
    "NEXT-OK": AHEAD,
    "DETAIL": "commercial of 125 s",
    "AGE": AN_AGE,
}


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["tch"], CHANNEL_SHOWN),
        (["tch", "-o", "wide"], CHANNEL_SHOWN | CHANNEL_SHOWN_WIDE),
        (["trule"], RULE_SHOWN),
        (["trule", "-o", "wide"], RULE_SHOWN | RULE_SHOWN_WIDE),
    ],
    ids=["tch", "tch wide", "trule", "trule wide"],
)
def test_kubectl_get_tells_how_it_stands(
    control_plane: ControlPlane, reported: str, args: list[str], shown: dict[str, str]
) -> None:
    answer = control_plane.run_kubectl("get", *args, "-n", reported).stdout

    header, row = (re.split(r" {2,}", line.strip()) for line in answer.splitlines())
    assert header == list(shown)
    for name, cell in zip(header, row, strict=True):
        assert re.fullmatch(shown[name], cell), name


def test_the_category_shows_all_kinds(control_plane: ControlPlane, reported: str) -> None:
    shown = control_plane.run_kubectl("get", "twitch", "-n", reported, "-o", "name").stdout.split()

    assert set(shown) == {
        f"twitchchannel.{GROUP}/mst3k",
        f"triggerrule.{GROUP}/ad-assets",
    }


def test_a_status_with_a_field_too_many_is_refused(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, channel(), "-n", namespace)
    status = resource("TwitchChannel", "mst3k", status={"quiet": True})

    answer = control_plane.run_kubectl(
        *("apply", "--server-side", "--subresource=status", "-n", namespace, "-f", "-"),
        input=json.dumps(status),
    )

    assert answer.returncode != 0
    assert "status.quiet" in answer.stderr


def test_the_examples_are_accepted(control_plane: ControlPlane) -> None:
    answer = control_plane.run_kubectl(
        "create", "--dry-run=server", "-o", "name", "-f", str(ROOT / "examples")
    )

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count(GROUP) >= 5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kubectl_explain_has_a_description_for_every_field(
    control_plane: ControlPlane,
    kind: Any,  # noqa: ANN401
) -> None:
    """Of the schema as the API server publishes it, from which `kubectl explain` reads."""
    published = control_plane.run_kubectl(
        "get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}", check=True
    ).stdout
    schemas = json.loads(published)["components"]["schemas"]
    (schema,) = (s for name, s in schemas.items() if name.endswith(f".{kind.name}"))

    field = next(iter(schema["properties"]["spec"]["properties"]))
    explained = control_plane.run_kubectl("explain", f"{kind.short}.spec.{field}").stdout

    described = schema["properties"]["spec"]["properties"][field]["description"]
    assert described in " ".join(explained.split())  # it breaks lines
    assert fields_without_description(schema, kind.name) == []


def fields_without_description(schema: dict[str, Any], path: str) -> list[str]:
    found = [] if schema.get("description") or "allOf" in schema else [path]
    for name, part in schema.get("properties", {}).items():
        found += fields_without_description(part, f"{path}.{name}")
    for name, part in schema.get("items", {}).get("properties", {}).items():
        found += fields_without_description(part, f"{path}[].{name}")
    return found
