"""`explain`: what is laid out of a rule's status, and what it does without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller.__main__ import kubectl_main
from controller.commands.show.conditions import not_fine
from controller.commands.show.explained import (
    Explained,
    explained_for_people,
    explained_for_programs,
)
from controller.commands.show.text import aligned
from controller.resources.triggerrule import TriggerRuleSpec, TriggerRuleStatus
from controller.resources.twitchchannel import TwitchChannelStatus

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = {
    "channelRef": {"name": "mst3k"},
    "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["one", "two"]}},
    "match": [{"field": "kind", "equals": "spot"}],
    "action": {"commercial": {"length": "60s"}},
}
DECISIONS = [
    {"eventId": "b", "time": "2027-01-15T08:00:10Z", "verdict": "CoolingDown",
     "detail": "not before 08:07:30Z", "latencyMilliseconds": 0.4},
    {"eventId": "a", "time": "2027-01-15T08:00:00Z", "verdict": "Fired",
     "detail": "commercial of 125 s", "latencyMilliseconds": 4},
]  # fmt: skip
MISS = {"eventId": "c", "time": "2027-01-15T08:00:20Z", "topic": "one", "passed": 2, "tests": 3,
        "detail": 'match[1]: action is "ended", and must be "started"'}  # fmt: skip


def condition(kind: str, status: str, reason: str, message: str = "told") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2027-01-15T07:00:00Z"}  # fmt: skip


def explained(*notes: str, channel: dict[str, object] | None = None, **status: object) -> Explained:
    return Explained(
        "playout",
        "spots",
        TriggerRuleSpec.from_spec(SPEC),
        TriggerRuleStatus.from_status(status),
        TwitchChannelStatus.from_status(channel or {}),
        notes,
    )


def test_decisions_stand_in_a_table_with_what_they_rest_on() -> None:
    told = explained_for_people(explained(recentDecisions=DECISIONS))
    heading, table = told.split("\n\n")
    assert heading == (
        "triggerrule/spots in namespace playout: channel mst3k, topics one, two, mode Enforce"
    )
    assert table.splitlines() == [
        "TIME                   EVENT   VERDICT       LATENCY   DETAIL",
        "2027-01-15 08:00:10Z   b       CoolingDown   0.4 ms    not before 08:07:30Z",
        "2027-01-15 08:00:00Z   a       Fired         4 ms      commercial of 125 s",
    ]


def test_the_channel_is_a_column_where_a_selector_picks_it() -> None:
    told = explained_for_people(explained(recentDecisions=[DECISIONS[0] | {"channel": "mst3k"}]))
    assert "EVENT   CHANNEL   VERDICT" in told


def test_a_rule_that_never_matched_shows_its_nearest_miss() -> None:
    told = explained_for_people(explained(nearestMiss=MISS))
    assert "No event has matched yet." in told
    assert told.endswith(
        "nearest miss: event c at 2027-01-15 08:00:20Z, topic one: 2 of 3 tests held\n"
        '  match[1]: action is "ended", and must be "started"'
    )


def test_what_is_not_fine_is_told_with_its_remedy_and_once() -> None:
    status = {
        "conditions": [
            condition("Ready", "False", "SecretNotFound", "create Secret playout"),
            condition("FeedConnected", "False", "SecretNotFound", "create Secret playout"),
            condition("Reconciling", "True", "SecretNotFound", "create Secret playout"),
            condition("Stalled", "False", "SecretNotFound", ""),
            condition("Suspended", "False", "NotSuspended", ""),
        ]
    }
    channel: dict[str, object] = {
        "conditions": [condition("AdsManagerScheduled", "True", "Scheduled", "turn it off")]
    }
    told = explained_for_people(explained("A note.", channel=channel, **status))
    assert "\n\nA note.\n\n" in told
    assert told.count("create Secret playout") == 1
    assert "Ready=False  SecretNotFound: create Secret playout" in told
    assert "channel mst3k: AdsManagerScheduled=True  Scheduled: turn it off" in told


def test_a_condition_that_nobody_knows_is_no_trouble() -> None:
    found = TriggerRuleStatus.from_status({"conditions": [condition("Brand-New", "False", "x")]})
    assert not_fine(found.conditions) == []


def test_programs_get_the_statuses_own_names() -> None:
    told = explained_for_programs(explained(recentDecisions=DECISIONS[:1], nearestMiss=MISS))
    assert told["recentDecisions"] == DECISIONS[:1]
    assert told["nearestMiss"] == MISS


def test_a_text_of_several_lines_stays_in_its_row() -> None:
    assert aligned(("A", "B"), [("x\ny", "z")]) == "A     B\nx y   z"
    assert aligned((), []) == ""


def test_the_examples_own_rules_are_explained_without_a_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    files = ["-f", str(EXAMPLES / "rules.yaml"), "-f", str(EXAMPLES / "channels.yaml")]
    event = ["--event", str(EXAMPLES / "messages" / "video.json")]
    assert kubectl_main(["explain", "mst3k-eu-ad-assets", *files, *event]) == 0
    told = capsys.readouterr().out
    assert "event 1 matches mst3k-eu-ad-assets" in told
    assert "it would ask for a commercial of 125 s" in told
    assert "\x1b" not in told
    assert kubectl_main(["explain", "mst3k-eu-ad-assets", *files, *event, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"][0]["matched"] is True


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty, and must hold events as JSON"),
        ("not json\n", "there is no event in it\n  event.json, line 1: not JSON"),
        ("7", "event.json, line 1: not a JSON object but 7"),
        (json.dumps({"a": "x" * 33_000}), "line 1: 33008 bytes of JSON, and an event has at most"),
    ],
)
def test_a_file_without_an_event_is_refused_with_what_is_in_it(
    text: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("event.json").write_text(text)
    rules = str(EXAMPLES / "rules.yaml")
    arguments = ["mst3k-eu-ad-assets", "-f", rules, "--event", "event.json"]
    assert kubectl_main(["explain", *arguments]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-f", "rules.yaml"], "give one with --event FILE"),
        (["-f", "-", "--event", "-"], "not both"),
        (["-f", "none.yaml", "--event", "event.json"], "none.yaml: No such file"),
        (
            ["-f", "broken.yaml", "--event", "event.json"],
            "broken.yaml is not YAML",
        ),
        (["-f", "rules.yaml", "--event", "event.json"], "name one of one, two"),
        (["three", "-f", "rules.yaml", "--event", "event.json"], "no TriggerRule three; there is"),
        (["two", "-f", "rules.yaml", "--event", "event.json"], "spec.match[0].regex: "),
        ([], "name a TriggerRule"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_line_with_the_remedy(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    rules = [
        {"apiVersion": "twitch-operator.dev/v1alpha1", "kind": "TriggerRule",
         "metadata": {"name": name}, "spec": SPEC | {"match": match}}
        for name, match in (("one", SPEC["match"]), ("two", [{"field": "kind", "regex": "("}]))
    ]  # fmt: skip
    Path("rules.yaml").write_text("---\n".join(map(json.dumps, rules)).replace("}---", "}\n---"))
    Path("broken.yaml").write_text("a: [")
    Path("event.json").write_text('{"kind": "spot"}')
    assert kubectl_main(["explain", *arguments]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("kubectl twitch: ")
    assert error.count("\n") == 1
