"""Backtests: recorded events in, what would have fired out."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.__main__ import main
from controller.resources.common import rfc3339

EXAMPLES = Path(__file__).parents[2] / "examples"
BEGIN = 1_763_870_400.0
SCTE35, VIDEO = (
    json.loads((EXAMPLES / "messages" / f"{name}.json").read_text()) for name in ("scte35", "video")
)


def a_rule(name: str = "splices", **changes: object) -> dict[str, Any]:
    spec = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
        "match": [{"field": "msg_type", "in": ["scte35", "video"]}],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
        **changes,
    }
    return {
        "apiVersion": "twitch-operator.dev/v1alpha1",
        "kind": "TriggerRule",
        "metadata": {"name": name},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def a_channel(name: str = "mst3k", **commercials: object) -> dict[str, Any]:
    return {
        "apiVersion": "twitch-operator.dev/v1alpha1",
        "kind": "TwitchChannel",
        "metadata": {"name": name, "labels": {"feed-code": name.upper()}},
        "spec": {
            "app": {"secretRef": {"name": "app"}},
            "authorization": {"deviceCode": {}},
            "commercials": commercials,
        },
    }


def a_message(sample: dict[str, Any], at: float, name: str, **data: object) -> dict[str, Any]:
    message = copy.deepcopy(sample)
    message["common"] |= {"timestamp": BEGIN + at, "unique_id": name}
    message["data"] |= data
    return message


class Bench:
    """Files in a folder of the test's own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys

    def run(
        self, manifests: list[dict[str, Any]], lines: list[object], *options: str
    ) -> dict[str, Any]:
        self.write(manifests, lines)
        files = [str(self._folder / name) for name in ("rules.yaml", "events.jsonl")]
        code = main(["backtest", "-f", files[0], "-o", "json", *options, files[1]])
        assert code == 0, self._capsys.readouterr().err
        found: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return found

    def write(self, manifests: list[dict[str, Any]], lines: list[object]) -> None:
        (self._folder / "rules.yaml").write_text(yaml.safe_dump_all(manifests))
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (self._folder / "events.jsonl").write_text("\n".join(texts))


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


def verdicts(found: dict[str, Any]) -> list[str]:
    return [each["verdict"] for each in found["decisions"]]


def test_both_sample_messages_are_one_break_of_one_commercial(bench: Bench) -> None:
    found = bench.run(
        [a_rule()], [a_message(SCTE35, 0, "splice"), a_message(VIDEO, 4.471, "asset")]
    )
    assert verdicts(found) == ["Fired", "SameBreak"]
    assert found["decisions"][0] | {"reason": ""} == {
        "time": rfc3339(BEGIN),
        "eventId": "splice",
        "topic": None,
        "rule": "splices",
        "channel": "mst3k",
        "verdict": "Fired",
        "reason": "",
        "callTime": rfc3339(BEGIN),
        "askedSeconds": 125,
    }
    assert found["totals"] == {
        "events": 2,
        "matched": 2,
        "malformed": 0,
        "commercialSeconds": 125,
        "messages": 0,
        "verdicts": {"Fired": 1, "SameBreak": 1},
    }


def test_a_cue_waits_for_the_cooldown_where_it_stays_young_enough(bench: Bench) -> None:
    lines: list[object] = [
        a_message(SCTE35, 0, "first"),
        a_message(SCTE35, 460, "waits"),
        a_message(SCTE35, 1000, "cools", duration_sec=60.0),
    ]
    found = bench.run([a_rule()], lines)
    assert verdicts(found) == ["Fired", "Fired", "Fired"]
    second = found["decisions"][1]
    assert second["callTime"] == rfc3339(BEGIN + 480)
    assert second["askedSeconds"] == 105  # what is left of the break
    skips = bench.run([a_rule(), a_channel(onCooldown="Skip")], lines)
    assert verdicts(skips) == ["Fired", "CoolingDown", "Fired"]


def test_delay_off_cues_and_priorities_count(bench: Bench) -> None:
    off = [{"field": "data.splice_insert_type", "equals": "normal_off"}]
    rules = [a_rule(cancelOn=off), a_rule("assets", priority=5), a_channel(delay="10s")]
    lines: list[object] = [
        a_message(SCTE35, 0, "dropped"),
        a_message(SCTE35, 3, "off", splice_insert_type="normal_off"),
        a_message(SCTE35, 900, "both"),
    ]
    found = bench.run(rules, lines, "--rule", "splices")
    assert verdicts(found) == ["Cancelled", "Fired"]
    assert found["decisions"][1]["callTime"] == rfc3339(BEGIN + 910)
    both = bench.run(rules, [lines[2]])
    told = {each["rule"]: each["verdict"] for each in both["decisions"]}
    assert told == {"assets": "Fired", "splices": "Outranked"}


def test_a_selector_finds_each_event_its_channel(bench: Bench) -> None:
    selector = {"matchEvent": [{"label": "feed-code", "field": "feed_code"}]}
    rule = a_rule(channelRef=None, channelSelector=selector)
    lines: list[object] = [
        a_message(SCTE35, 0, "one") | {"feed_code": "MST3K"},
        a_message(SCTE35, 1, "two") | {"feed_code": "NOIR"},
        a_message(SCTE35, 2, "three") | {"feed_code": "NOBODY"},
    ]
    found = bench.run([rule, a_channel("mst3k"), a_channel("noir")], lines)
    told = [(each["channel"], each["verdict"]) for each in found["decisions"]]
    assert told == [("mst3k", "Fired"), ("noir", "Fired"), (None, "ChannelNotReady")]


def test_mode_and_suspend_do_not_count(bench: Bench) -> None:
    lines: list[object] = [a_message(SCTE35, 0, "cue")]
    assert verdicts(bench.run([a_rule(mode="DryRun", suspend=True)], lines)) == ["Fired"]


def test_pubnubs_history_brings_time_and_topic(bench: Bench) -> None:
    ticks = int(BEGIN * 10_000_000)
    message = a_message(SCTE35, -50, "cue")
    lines: list[object] = [
        {"message": message, "timetoken": str(ticks), "channel": "mst3k"},
        {"message": message, "timetoken": str(ticks), "channel": "elsewhere"},
        {"message": message, "time": rfc3339(BEGIN + 600), "topic": "mst3k"},
    ]
    found = bench.run([a_rule(idField="")], lines)
    assert [each["time"] for each in found["decisions"]] == [
        rfc3339(BEGIN), rfc3339(BEGIN + 600),
    ]  # fmt: skip
    assert verdicts(found) == ["Fired", "Fired"]


def test_what_is_no_event_is_told_with_its_line_and_the_rest_counts(bench: Bench) -> None:
    lines: list[object] = [
        "{not json",
        "[1]",
        {"msg_type": "scte35"},
        a_message(SCTE35, 0, "cue"),
        {"message": {}, "timetoken": "x"},
    ]
    found = bench.run([a_rule()], lines)
    assert [each["line"] for each in found["malformed"]] == [1, 2, 3, 5]
    assert "--time-field" in found["malformed"][2]["reason"]
    assert verdicts(found) == ["Fired"]


def test_events_stand_in_any_layout(bench: Bench) -> None:
    messages = [a_message(SCTE35, at, f"cue-{at}") for at in (0, 500, 1000)]
    for text in (
        "\n".join(map(json.dumps, messages)),
        json.dumps(messages),
        json.dumps(messages, indent=2),
        "\n".join(json.dumps(message, indent=2) for message in messages),
        "\r\n".join(map(json.dumps, messages)),
        "\ufeff" + "\n".join(map(json.dumps, messages)),
        "".join(map(json.dumps, messages)),
    ):
        found = bench.run([a_rule()], [text])
        assert [each["eventId"] for each in found["decisions"]] == ["cue-0", "cue-500", "cue-1000"]
        assert found["malformed"] == []


def test_the_examples_own_messages_are_events(capsys: pytest.CaptureFixture[str]) -> None:
    rules = [f"-f{EXAMPLES / name}.yaml" for name in ("rules", "channels")]
    events = [str(EXAMPLES / "messages" / f"{name}.json") for name in ("scte35", "video")]
    assert main(["backtest", *rules, "-o", "json", *events]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["events"] == 2


def test_a_line_separator_of_unicode_ends_no_line(bench: Bench) -> None:
    title = "a\u2028b\u2029c\x85d"
    message = a_message(SCTE35, 0, "cue", title=title)
    text = json.dumps(message, ensure_ascii=False)
    assert title in text
    rule = a_rule(match=[{"field": "data.title", "equals": title}])
    assert verdicts(bench.run([rule], [text])) == ["Fired"]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_begin_with_a_byte_order_mark(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], codec: str
) -> None:
    bench.write([a_rule()], [])
    rules, events = tmp_path / "rules.yaml", tmp_path / "events.jsonl"
    rules.write_bytes(rules.read_text().encode(codec))
    events.write_bytes(json.dumps(a_message(SCTE35, 0, "Zoë")).encode(codec))
    assert main(["backtest", "-f", str(rules), str(events)]) == 0
    assert "1 event, 1 matched" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty, and must hold events as JSON"),
        ("[]", "it is a list without events, and must hold events as JSON"),
        ("a,b\n1,2\n", "there is no event in it\n  {file}, line 1: not JSON: Expecting value"),
        ("[1, 2]", "{file}, line 1: not a JSON object but 1\n  {file}, line 1: not a JSON object"),
        ("{}\n", "line 1: the event lacks common.timestamp, the rule's timeField (--time-field"),
        ("x\n" * 12, "line 10: not JSON: Expecting value at line 10, column 1\n  and 2 more"),
    ],
)
def test_a_file_without_an_event_is_refused_with_what_is_in_it(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    bench.write([a_rule()], [text])
    events = str(tmp_path / "events.jsonl")
    assert main(["backtest", "-f", str(tmp_path / "rules.yaml"), events]) == 1
    assert told.format(file=events) in capsys.readouterr().err


def test_what_is_no_event_is_told_to_people_with_file_and_line(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write([a_rule()], ["garbage", a_message(SCTE35, 0, "cue"), '{"torn": '])
    files = [str(tmp_path / name) for name in ("rules.yaml", "events.jsonl")]
    assert main(["backtest", "-f", *files]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-3] == "Not events: 2"
    assert told[-2].startswith(f"  {files[1]}, line 1: not JSON: ")
    assert told[-1].startswith(f"  {files[1]}, line 3: not JSON: ")


def test_a_byte_that_is_not_text_costs_its_own_event_alone(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write([a_rule()], [])
    events = tmp_path / "events.jsonl"
    good, torn = (json.dumps(a_message(SCTE35, 0, name)).encode() for name in ("cue", "torn"))
    torn = torn.replace(b"torn", b"t\xfcrn")
    events.write_bytes(b"\n".join([good, torn, b"\xff", b"[" + torn + b",", good + b"]"]))
    assert main(["backtest", "-f", str(tmp_path / "rules.yaml"), str(events)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "2 events, 2 matched" in told
    place = torn.index(b"\xfc") + 1
    assert told[-4:] == [
        "Not events: 3",
        f"  {events}, line 2: not text in UTF-8: byte 0xfc at character {place} of it",
        f"  {events}, line 3: not text in UTF-8: byte 0xff at character 1 of it",
        f"  {events}, line 4: not text in UTF-8: byte 0xfc at character {place} of it",
    ]


def test_events_out_of_order_are_put_in_order(bench: Bench) -> None:
    lines: list[object] = [a_message(SCTE35, 500, "late"), a_message(SCTE35, 0, "early")]
    found = bench.run([a_rule()], lines)
    assert [each["eventId"] for each in found["decisions"]] == ["early", "late"]
    assert verdicts(found) == ["Fired", "Fired"]


def test_the_table_and_the_totals_are_for_people(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write([a_rule()], [a_message(SCTE35, 0, "splice"), a_message(VIDEO, 4, "asset")])
    files = [str(tmp_path / name) for name in ("rules.yaml", "events.jsonl")]
    assert main(["backtest", "-f", *files]) == 0
    header, fired, same, _, *totals = capsys.readouterr().out.splitlines()
    assert header.split() == ["TIME", "EVENT", "RULE", "CHANNEL", "VERDICT", "REASON"]
    assert "Fired" in fired
    assert "commercial of 125 s" in fired
    assert "SameBreak" in same
    assert totals == [
        "2 events, 2 matched",
        "Decisions: Fired 1, SameBreak 1",
        "Commercials: 1, 125 s",
    ]


@pytest.mark.parametrize(
    ("manifests", "told"),
    [
        ([], "hold no TriggerRule"),
        ([a_rule(maxAge="1h")], "TriggerRule splices: spec.maxAge: must be a duration"),
        ([a_rule(when="event.x >")], "TriggerRule splices: spec.when"),
        ([a_rule(), a_channel(delay="2m")], "TwitchChannel mst3k: spec.commercials.delay"),
        (
            [a_rule(channelRef=None, channelSelector={"matchLabels": {"a": "b"}})],
            "give the TwitchChannels too",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_the_field(
    bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    manifests: list[dict[str, Any]],
    told: str,
) -> None:
    bench.write(manifests, [])
    files = [str(tmp_path / name) for name in ("rules.yaml", "events.jsonl")]
    assert main(["backtest", "-f", *files]) == 1
    assert told in capsys.readouterr().err


def test_a_rule_that_is_too_costly_for_an_event_is_told(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    when = "(event.s + event.s).contains(event.s + 'b')"
    lines: list[object] = [
        a_message(SCTE35, at, f"cue-{at}") | {"s": "a" * size}
        for at, size in ((0, 20_000), (60, 29_000), (120, 10))
    ]
    found = bench.run([a_rule(when=when)], lines)
    assert found["decisions"] == []
    (failure,) = found["failures"]
    assert (failure["rule"], failure["events"]) == ("splices", 1)
    assert failure["reason"].startswith("when is too costly for an event of this size: it may take")
    files = [str(tmp_path / name) for name in ("rules.yaml", "events.jsonl")]
    assert main(["backtest", "-f", *files]) == 0
    assert (
        "TriggerRule splices could not be evaluated for 1 event; at last: when is too costly"
        in (capsys.readouterr().out)
    )
