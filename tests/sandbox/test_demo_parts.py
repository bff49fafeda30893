"""What the demo is made of, without a cluster: examples, checks, tables, words."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rich.console import Console

from controller.sandbox.demo.cast import DemoError
from controller.sandbox.demo.consent import free_redirect_uri, play_consent
from controller.sandbox.demo.examples import (
    examples_folder,
    fill_extension,
    fill_secrets,
    stamp,
)
from controller.sandbox.demo.extension import Found
from controller.sandbox.demo.outcome import DemoFacts, check_outcome, judge
from controller.sandbox.demo.script import Script
from controller.sandbox.demo.table import tables

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_010.0  # 2026-09-21T14:13:30Z


BROKEN_AT = 1_790_000_003.5  # 2026-09-21T14:13:23.5Z
HEALED_AT = "2026-09-21T14:13:27Z"


def ready(
    status: str = "True", authorized: str = "True", since: str = HEALED_AT
) -> list[dict[str, str]]:
    return [
        {"type": "Ready", "status": status, "reason": "Because", "message": "some reason"},
        {"type": "Authorized", "status": authorized, "lastTransitionTime": since},
    ]


def channel(name: str) -> dict[str, Any]:
    commercials = {
        "lastStartTime": "2026-09-21T14:13:20Z",
        "lastLengthSeconds": 125,
        "nextEligibleTime": "2026-09-21T14:21:20Z",
        "recentCues": [{"result": "Fired"}],
    }
    return {
        "kind": "TwitchChannel",
        "metadata": {"name": name},
        "spec": {"login": name.replace("-", "_")},
        "status": {"conditions": ready(), "commercials": commercials},
    }


def rule(name: str) -> dict[str, Any]:
    decision = {"verdict": "Fired", "detail": "commercial of 125 s", "latencyMilliseconds": 4.2}
    return {
        "kind": "TriggerRule",
        "metadata": {"name": name},
        "status": {
            "conditions": ready(),
            "counts": {"fired": 1, "skipped": 0},
            "lastEventTime": "2026-09-21T14:13:20Z",
            "recentDecisions": [decision],
        },
    }


def extension(name: str) -> dict[str, Any]:
    return {
        "kind": "ExtensionApp",
        "metadata": {"name": name},
        "status": {
            "conditions": [
                *ready(),
                {"type": "SecretsCurrent", "status": "True"},
                {"type": "ConfigurationSynced", "status": "True"},
            ],
            "lastRotationTime": "2026-09-21T14:13:20Z",
            "nextRotationTime": "2026-09-21T14:13:35Z",
        },
    }


def found_of_extension() -> Found:
    return Found(
        before={"current": "aaaa"},
        after={"current": "bbbb", "previous": "aaaa"},
        known=frozenset({"aaaa", "bbbb"}),
        sent=("one", "two"),
        received=("one", "two"),
        log="fine\n",
    )


def facts() -> DemoFacts:
    channels = [channel("mst3k"), channel("mst3k-eu")]
    return DemoFacts(
        resources=[*channels, rule("splices"), rule("assets"), extension("deck-tracker")],
        commercials=[{"login": login, "requested": 125} for login in ("mst3k", "mst3k_eu")],
        log="2026-09-21 14:13:20,000 INFO    controller: all ERRORs are forgiven\n",
        now=NOW,
        broken="mst3k",
        broken_at=BROKEN_AT,
        extension=found_of_extension(),
    )


def failed(found: DemoFacts) -> list[str]:
    return [check.text for check in check_outcome(found) if not check.holds]


def test_a_demo_that_went_well_passes_every_check() -> None:
    assert failed(facts()) == []
    assert len(check_outcome(facts())) == 12


def test_a_second_commercial_is_found_out() -> None:
    found = facts()
    found = replace(found, commercials=[*found.commercials, found.commercials[0]])
    assert failed(found) == ["Twitch was asked for 2 commercials on mst3k: 125 s, 125 s"]


def test_a_commercial_that_never_reached_twitch_is_found_out() -> None:
    found = facts()
    found = replace(found, commercials=found.commercials[:1])
    assert failed(found) == ["Twitch was asked for no commercials on mst3k_eu"]


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (
            ("commercials", "nextEligibleTime"),
            "2026-09-21T14:14:00Z",
            "TwitchChannel mst3k: Fired, 125 s, again in 30 s",
        ),
        (
            ("commercials", "lastLengthSeconds"),
            180,
            "TwitchChannel mst3k: Fired, 180 s, again in 470 s",
        ),
        (
            ("commercials", "recentCues"),
            [{"result": "Unknown"}],
            "TwitchChannel mst3k: Unknown, 125 s, again in 470 s",
        ),
        (("commercials",), {}, "TwitchChannel mst3k: nothing ran"),
        (
            ("conditions",),
            ready("False"),
            (
                "2 TwitchChannels, 2 TriggerRules, 1 ExtensionApp, not Ready: "
                "TwitchChannel mst3k: some reason"
            ),
        ),
        (
            ("conditions",),
            ready(since="2026-09-21T14:13:20Z"),
            "TwitchChannel mst3k: nothing ended its grant",
        ),
        (
            ("conditions",),
            ready(authorized="False"),
            "TwitchChannel mst3k: its grant ended, and there is no other",
        ),
    ],
)
def test_a_status_that_tells_something_else_is_found_out(
    path: tuple[str, ...], value: object, text: str
) -> None:
    found = copy.deepcopy(facts())
    place = found.resources[0]["status"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert failed(found) == [text]


def test_a_rule_that_did_not_fire_is_quoted() -> None:
    found = copy.deepcopy(facts())
    status = found.resources[2]["status"]
    status["counts"] = {"fired": 0, "failed": 1}
    status["recentDecisions"][0] |= {"verdict": "Failed", "detail": "Twitch answered 500"}
    assert failed(found) == [
        "TriggerRule splices: Failed, Twitch answered 500 (4.2 ms after it came)"
    ]


def test_resources_without_a_status_fail_the_checks_and_break_nothing() -> None:
    found = facts()
    bare = [{**each, "status": {}} for each in found.resources]
    assert len(failed(replace(found, resources=bare))) == 6
    assert len(failed(replace(found, resources=[], commercials=[], log=""))) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"after": {"current": "aaaa"}},
            "the extension's secret: current is aaaa, as it was",
        ),
        ({"after": {}}, "the extension's secret: current is missing, as it was"),
        (
            {"known": frozenset({"bbbb"})},
            "the extension's secret: Twitch does not know aaaa",
        ),
        ({"received": ("one",)}, "Twitch got 1 message of the extension: one"),
        (
            {"received": ("one", "two", "two")},
            "Twitch got 3 messages of the extension: one, two, two",
        ),
        ({"log": "Traceback (x)"}, "the gateway's log has errors, the first: Traceback (x)"),
    ],
)
def test_an_extension_that_fails_is_found_out(change: dict[str, Any], text: str) -> None:
    found = facts()
    assert failed(replace(found, extension=replace(found.extension, **change))) == [text]


@pytest.mark.parametrize(
    "line", ["2026-09-21 14:13:20,000 ERROR   kopf: no", "Traceback (most recent call last):"]
)
def test_an_error_in_the_log_is_quoted(line: str) -> None:
    found = facts()
    assert failed(replace(found, log=f"fine\n{line}\n")) == [
        f"the operator's log has errors, the first: {line}"
    ]


def test_the_secrets_of_the_examples_get_their_values_and_nothing_is_left_open() -> None:
    text = (examples_folder() / "secrets.yaml").read_text()
    keys = {
        (secret["metadata"]["name"], key)
        for secret in yaml.safe_load_all(text)
        for key in secret["stringData"]
    }
    filled = fill_secrets(text, dict.fromkeys(keys, "value"))
    assert "<" not in filled
    assert [each["stringData"] for each in yaml.safe_load_all(filled)][1] == {
        "refresh-token": "value"
    }
    with pytest.raises(KeyError):
        fill_secrets(text, {})


def test_the_example_of_an_extension_is_filled_in_for_the_provider_there_is() -> None:
    text = (examples_folder() / "extension.yaml").read_text()
    values = {
        ("deck-tracker-bootstrap", "secret"): "c2VjcmV0",
        ("deck-tracker-oauth", "client-id"): "me",
        ("deck-tracker-oauth", "client-secret"): "mine",
    }
    rotation = {"interval": "15s", "activationDelay": "3s"}
    url = "http://127.0.0.1:4000/oauth2/introspect"
    filled = fill_extension(text, values, url, rotation)
    bootstrap, login, app = yaml.safe_load_all(filled)
    assert "<" not in filled
    assert bootstrap["stringData"] == {"secret": "c2VjcmV0"}
    assert login["stringData"] == {"client-id": "me", "client-secret": "mine"}
    assert list(login["metadata"]["annotations"].values()) == ["127.0.0.1"]
    assert app["spec"]["gateway"]["oauth"]["introspectionUrl"] == url
    assert app["spec"]["secret"]["rotation"] == rotation
    with pytest.raises(KeyError):
        fill_extension(text, {}, url, rotation)


@pytest.mark.parametrize("name", ["scte35", "video"])
def test_a_stamped_message_differs_in_time_and_id_alone(name: str) -> None:
    before = json.loads((examples_folder() / "messages" / f"{name}.json").read_text())
    after = json.loads(stamp(json.dumps(before), NOW + 0.25))
    assert after["common"].pop("timestamp") == NOW + 0.25
    moment, counter = after["common"].pop("unique_id").split("_")
    assert moment == "1790000010250"
    assert before["common"].pop("unique_id").endswith(f"_{counter}")
    del before["common"]["timestamp"]
    assert after == before


def _console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=terminal, width=80, highlight=False), written


def test_a_pipe_gets_whole_lines_without_escape_codes() -> None:
    console, written = _console(terminal=False)
    script = Script(console)
    script.step("first")
    script.command("x" * 100)
    script.output("y" * 100)
    assert written.getvalue() == f"\n1. first\n$ {'x' * 100}\n{'y' * 100}\n"


def test_an_outcome_that_is_right_ends_the_demo_with_0() -> None:
    console, written = _console(terminal=False)
    assert judge(Script(console), facts()) == 0
    assert "✗" not in written.getvalue()
    assert "all ERRORs are forgiven" not in written.getvalue()


def test_a_twitch_that_refused_ends_the_demo_with_1_and_the_operators_log() -> None:
    console, written = _console(terminal=False)
    assert judge(Script(console), replace(facts(), commercials=[])) == 1
    assert "✗ Twitch was asked for no commercials on mst3k\n" in written.getvalue()
    assert "✓ 2 TwitchChannels, 2 TriggerRules, 1 ExtensionApp, all Ready" in written.getvalue()
    assert "The operator's log:\n2026-09-21 14:13:20,000" in written.getvalue()


def test_a_terminal_gets_commands_and_answers_whole() -> None:
    console, written = _console(terminal=True)
    script = Script(console)
    script.command("x" * 100)
    remedy = f"{'y' * 100}: kubectl twitch authorize -n default mst3k"
    script.output(remedy)
    assert "x" * 100 in written.getvalue()
    assert remedy in written.getvalue()


def test_a_long_curl_is_broken_where_a_shell_allows_it() -> None:
    console, written = _console(terminal=False)
    Script(console).curl("http://127.0.0.1:40000/" + "x" * 50, "'{}'")
    first, second = written.getvalue().splitlines()
    assert first.endswith("x \\")
    assert second == "    -d '{}'"


def test_the_tables_tell_distances_to_a_terminal_and_times_to_a_pipe() -> None:
    console, written = _console(terminal=False)
    console.print(tables(facts().resources, NOW))
    assert "10s ago 125 s in 7m50s" in " ".join(written.getvalue().split())
    assert max(map(len, written.getvalue().splitlines())) <= 80
    console, written = _console(terminal=False)
    console.print(tables(facts().resources, None))
    told = " ".join(written.getvalue().split())
    assert "14:13:20Z 125 s 14:21:20Z" in told
    assert "deck-tracker True True True 14:13:20Z 14:13:35Z Because" in told


def test_the_tables_draw_resources_that_have_no_status_yet() -> None:
    console, written = _console(terminal=False)
    console.print(tables([{**each, "status": {}} for each in facts().resources], NOW))
    assert "mst3k-eu" in written.getvalue()
    assert "assets" in written.getvalue()


def test_a_command_that_asks_for_no_consent_is_told_with_what_it_printed(tmp_path: Path) -> None:
    variables = {"KUBECONFIG": str(tmp_path / "none")}
    with pytest.raises(DemoError, match=r"asked for no consent:\n.*none"):
        play_consent(["authorize", "mst3k", "--no-browser"], tmp_path, variables)


def test_each_demo_has_a_redirect_uri_of_its_own() -> None:
    assert free_redirect_uri().startswith("http://localhost:")
    assert free_redirect_uri().endswith("/auth/twitch/callback")
