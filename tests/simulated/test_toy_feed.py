"""A kind of feeds that the operator does not know: it works by being registered."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.__main__ import main
from controller.errors import SettingsError
from controller.logs import redact
from controller.resources.common import InvalidSpec, rfc3339
from controller.resources.schema import crd_manifests
from controller.resources.triggerrule import RULE, TriggerRuleSpec
from controller.resources.twitchchannel import CHANNEL
from controller.settings import Settings
from tests.simulated import toy_note
from tests.simulated.harness import eventually
from tests.simulated.local_api import LocalApi
from tests.simulated.toy_ticker import TickerKind, TickerSettings, registered
from tests.simulated.whole_operator import Api, a_resource, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from controller.clients.http import HttpClient

SPEC: dict[str, Any] = {
    "channelRef": {"name": "mst3k"},
    "feed": {"ticker": {"secretRef": {"name": "tape"}, "symbols": ["TWCH", "AMZN"]}},
    "match": [{"field": "kind", "equals": "peak"}],
    "idField": "id",
    "action": {"note": {"text": "sold"}},
}
GRANT = {"refreshToken": {"secretKeyRef": {"name": "grant", "key": "refresh-token"}}}
CHANNEL_SPEC: dict[str, Any] = {"app": {"secretRef": {"name": "app"}}, "authorization": GRANT}


@pytest.fixture
def ticker() -> Iterator[TickerKind]:
    with registered() as kind:
        yield kind


@pytest.fixture
def note() -> Iterator[toy_note.NoteKind]:
    with toy_note.registered() as kind:
        yield kind


def an_api(secrets: dict[str, dict[str, str]] | None = None) -> Api:
    """One that holds a channel and a rule that listens to the ticker."""
    rule, channel = a_resource(RULE, "peaks", SPEC), a_resource(CHANNEL, "mst3k", CHANNEL_SPEC)
    return Api(secrets or {}, {RULE: [rule], CHANNEL: [channel]})


def test_the_crd_has_it_and_the_parser_takes_one_kind_alone(ticker: TickerKind) -> None:
    crd = yaml.safe_load(crd_manifests()["triggerrules.yaml"])
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    feed = spec["properties"]["feed"]
    assert feed["properties"]["ticker"]["properties"]["symbols"]["maxItems"] == 10
    assert feed["properties"]["ticker"]["description"] == ticker.description
    told = [rule["message"] for rule in feed["x-kubernetes-validations"]]
    assert told == ["must have exactly one of: pubnub, hls, ticker"]
    commercial = SPEC | {"action": {"commercial": {"length": "60s"}}}
    assert TriggerRuleSpec.from_spec(commercial).feed.kind == "ticker"
    both = SPEC["feed"] | {"pubnub": {"secretRef": {"name": "a"}, "topics": ["a"]}}
    with pytest.raises(InvalidSpec, match="ticker"):
        TriggerRuleSpec.from_spec(commercial | {"feed": both})


def test_nothing_of_it_is_left_where_it_is_not_registered() -> None:
    assert "ticker" not in crd_manifests()["triggerrules.yaml"]
    with pytest.raises(InvalidSpec, match=r"spec\.feed\.ticker"):
        TriggerRuleSpec.from_spec(SPEC)


@pytest.mark.usefixtures("ticker")
def test_the_environment_sets_it_and_the_log_hides_its_secrets() -> None:
    name = "TWITCH_OPERATOR_TICKER_INTERVAL"
    settings = Settings.from_environment({name: "0.5"})
    assert settings.part(TickerSettings).interval == 0.5
    assert Settings.unknown({name: "0.5"}) == []
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: "often"})
    assert redact("GET /sesame-swordfish") == "GET /sesame-***"


async def test_its_events_are_decided_about_and_told(
    ticker: TickerKind, note: toy_note.NoteKind, settings: Settings, http: HttpClient
) -> None:
    api = an_api({"tape": {"password": ticker.tape.password}})
    async with running(api, settings, http) as stage:
        await eventually(lambda: api.condition("peaks", "FeedConnected").get("status") == "True")
        for symbol, fields in (("TWCH", {"kind": "peak", "id": "one"}),
                               ("AMZN", {"kind": "trough", "id": "two"}),
                               ("OTHER", {"kind": "peak", "id": "three"}),
                               ("AMZN", {"kind": "peak", "id": "four"})):  # fmt: skip
            ticker.tape.print(symbol, json.dumps(fields))
        ticker.tape.print("TWCH", "illegible")
        await eventually(lambda: "four" in str(api.statuses["peaks"].get("recentDecisions")))
        decisions = api.statuses["peaks"]["recentDecisions"]
        assert [(d["eventId"], d["verdict"]) for d in decisions] == [
            ("four", "Fired"), ("one", "Fired"),
        ]  # fmt: skip
        assert note.notebook.lines == [("mst3k", "sold one"), ("mst3k", "sold four")]
        rule = {"namespace": "default", "rule": "peaks"}
        await eventually(lambda: stage.value("feed_malformed_messages_total") == 1)
        assert stage.value("feed_events_total") == 3
        assert stage.value("feed_connected", **rule, reason="Succeeded") == 1
        assert stage.value("rule_events_total", **rule, result="fired") == 2


@pytest.mark.usefixtures("note")
async def test_conditions_tell_what_is_wrong_with_it_and_heal(
    ticker: TickerKind, settings: Settings, http: HttpClient
) -> None:
    api = an_api()

    def reason() -> object:
        return api.condition("peaks", "FeedConnected").get("reason")

    async with running(api, settings, http):
        await eventually(lambda: reason() == "SecretNotFound")
        message = api.condition("peaks", "FeedConnected")["message"]
        assert message.startswith("spec.feed.ticker.secretRef: Secret tape does not exist")
        api.secrets["tape"] = {"pin": "1234"}
        await eventually(lambda: reason() == "InvalidSecret")
        api.secrets["tape"] = {"password": "guessed"}
        await eventually(lambda: reason() == "WrongPassword")
        message = api.condition("peaks", "FeedConnected")["message"]
        assert message == "the tape is locked: correct password in Secret tape"
        assert api.condition("peaks", "Stalled")["status"] == "True"
        api.secrets["tape"] = {"password": ticker.tape.password}
        await eventually(lambda: reason() == "Succeeded")
        ticker.tape.torn = True
        await eventually(lambda: reason() == "TapeTorn")
        assert api.condition("peaks", "Stalled")["status"] == "False"


@pytest.fixture
def rule_file(tmp_path: Path) -> str:
    file = tmp_path / "rule.yaml"
    file.write_text(yaml.safe_dump(a_resource(RULE, "peaks", SPEC)))
    return str(file)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("note", "logging_as_before")
async def test_a_backtest_reads_its_past(
    ticker: TickerKind, rule_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for number, symbol in enumerate(("TWCH", "OTHER", "AMZN")):
        ticker.tape.print(symbol, json.dumps({"kind": "peak", "id": f"p{number}"}))
    ticker.tape.print("TWCH", "illegible")
    begin = rfc3339(time.time() - 60)
    async with LocalApi(an_api({"tape": {"password": ticker.tape.password}}).app) as local:
        server = (await local.load()).host
        cluster, user = {"server": server}, {"name": "user", "user": {}}
        context = {"cluster": "here", "user": "user", "namespace": "default"}
        (tmp_path / "config").write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [user],
            "clusters": [{"name": "here", "cluster": cluster}],
            "contexts": [{"name": "here", "context": context}],
        }))  # fmt: skip
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        code = await asyncio.to_thread(main, ["backtest", "-f", rule_file, "--from", begin])
    told = capsys.readouterr().out
    assert code == 0
    assert "wrote 'sold p0'" in told
    assert "wrote 'sold p2'" in told
    assert "2 events, 2 matched" in told
    assert "on TWCH: not JSON" in told


@pytest.mark.usefixtures("note", "ticker")
def test_a_backtest_of_files_and_explain_know_its_topics(
    rule_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "events.json"
    peak = {"kind": "peak", "id": "one"}
    lines = [{"time": 1_700_000_000 + n, "topic": topic, "message": peak}
             for n, topic in enumerate(("TWCH", "OTHER"))]  # fmt: skip
    events.write_text(json.dumps(lines))
    assert main(["backtest", "-f", rule_file, str(events)]) == 0
    assert "2 events, 1 matched" in capsys.readouterr().out
    assert main(["explain", "-f", rule_file, "--event", str(events)]) == 0
    assert "sold one" in capsys.readouterr().out
