"""`fire`, `pause` and `resume`: what they write, and what they make of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.__main__ import kubectl_main, main
from controller.arbiter.steps import Readiness
from controller.commands.show.firing import find_outcome, fire_value, remedy
from controller.commands.show.pausing import (
    Outcome,
    Place,
    Scope,
    choice,
    is_confirmed,
    report,
)
from controller.events import Verdict
from controller.policies.pausing import find_pause, written_pause
from controller.resources.kind import PAUSED
from controller.resources.twitchchannel import TwitchChannelStatus

if TYPE_CHECKING:
    from collections.abc import Callable

NAMED, EVERYWHERE = Scope(named=True, namespace="playout"), Scope(named=False, namespace=None)
ASKED = "2027-01-15T08:00:00.123Z/60s"


def status(
    *conditions: dict[str, str], handled: str = ASKED, **whole: object
) -> TwitchChannelStatus:
    return TwitchChannelStatus.from_status(
        {"lastHandledFireAt": handled, "conditions": conditions} | whole
    )


def answer(verdict: str, asked: str = ASKED) -> dict[str, object]:
    return {"requestedAt": asked, "verdict": verdict, "detail": "told"}


def condition(kind: str, value: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": value, "reason": reason, "message": "told",
            "lastTransitionTime": "2027-01-15T07:00:00Z"}  # fmt: skip


def test_a_request_names_the_instant_and_the_length() -> None:
    assert fire_value("2027-01-15T08:00:00.123Z", 60) == ASKED


@pytest.mark.parametrize(
    ("verdict", "ran"),
    [("Fired", True), ("Confirmed", True), ("CoolingDown", False), ("Unknown", False)],
)
def test_the_answer_is_that_of_this_request(verdict: str, ran: bool) -> None:
    outcome = find_outcome(status(lastFire=answer(verdict)), ASKED)
    assert outcome == (verdict, "told")
    assert outcome is not None
    assert outcome.ran is ran


@pytest.mark.parametrize(
    "seen",
    [
        status(handled="an earlier one", lastFire=answer("Fired", "an earlier one")),
        status(lastFire=answer("Fired", "an earlier one")),
        status(lastFire=answer("Waiting")),
        status(),
    ],
)
def test_what_is_not_answered_yet_is_waited_for(seen: TwitchChannelStatus) -> None:
    assert find_outcome(seen, ASKED) is None


def test_a_call_is_an_answer_too() -> None:
    cue = {"cueId": f"fire/{ASKED}", "publishTime": "2027-01-15T08:00:00Z", "lengthSeconds": 60,
           "result": "Fired"}  # fmt: skip
    seen = status(commercials={"recentCues": [cue]})
    assert find_outcome(seen, ASKED) == ("Fired", "commercial of 60 s")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_remedy(verdict: Verdict) -> None:
    assert remedy(verdict, status(), "mst3k -n playout")


def test_remedies_name_the_instant_the_command_and_the_condition() -> None:
    cooling = status(commercials={"nextEligibleTime": "2027-01-15T08:05:00Z"})
    assert remedy("CoolingDown", cooling, "") == "run it again after 08:05:00Z"
    assert "kubectl twitch resume mst3k -n playout" in remedy(
        "Paused", status(), "mst3k -n playout"
    )
    broken = status(condition("Ready", "False", "AuthorizationRevoked"))
    assert "AuthorizationRevoked: told" in remedy("ChannelNotReady", broken, "mst3k")


@pytest.mark.parametrize("length", ["0s", "181s", "1500ms", "a minute", "4m"])
def test_a_length_that_twitch_would_not_run_is_refused_at_once(
    length: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        kubectl_main(["fire", "mst3k", "--length", length])
    assert "such as 90s" in capsys.readouterr().err


@pytest.mark.parametrize("command", [main, kubectl_main])
def test_without_a_command_the_help_is_shown(
    command: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([]) == 0
    assert "pause" in capsys.readouterr().out


def test_who_paused_when_and_why_is_kept() -> None:
    assert written_pause("T", "alice", "wrong feed") == "T by alice: wrong feed"
    assert written_pause("T", "", "") == "T"


def channel(annotations: dict[str, str] | None = None, **whole: object) -> dict[str, Any]:
    meta: dict[str, object] = {"name": "mst3k", "namespace": "playout"}
    if annotations is not None:
        meta["annotations"] = annotations
    return {"metadata": meta} | whole


@pytest.mark.parametrize(
    ("annotations", "paused"),
    [(None, False), ({}, False), ({PAUSED: "false"}, False), ({PAUSED: ""}, True),
     ({PAUSED: "2027-01-15T08:00:00Z by alice"}, True)],
)  # fmt: skip
def test_the_annotation_pauses_unless_it_is_false(
    annotations: dict[str, str] | None, paused: bool
) -> None:
    assert (find_pause(annotations) is not None) is paused


@pytest.mark.parametrize(
    ("ready", "pausing", "resuming"),
    [
        (("True", "Succeeded"), "Ready=True Succeeded", None),
        (("False", "Paused"), None, "Ready=False Paused"),
        (("False", "Suspended"), None, None),
        (("False", "AuthorizationRevoked"), "Ready=False AuthorizationRevoked", None),
    ],
)
def test_the_operator_confirms_by_the_reason_of_ready(
    ready: tuple[str, str], pausing: str | None, resuming: str | None
) -> None:
    seen = channel(status={"conditions": [condition("Ready", *ready)]})
    assert is_confirmed(seen, resume=False) == pausing
    assert is_confirmed(seen, resume=True) == resuming


def test_a_channel_that_no_operator_saw_is_not_confirmed() -> None:
    assert "no status yet" in str(is_confirmed(channel(), resume=False))


def test_a_report_counts_and_tells_each_trouble_once() -> None:
    a, b, c, d = (Place("playout", name) for name in "abcd")
    outcome = Outcome(
        [a], [b], failed={c: "forbidden", d: "forbidden"}, unconfirmed={a: "Ready=True"}
    )
    assert not outcome.complete
    assert report(outcome, NAMED, resume=False, wait=10).splitlines() == [
        "paused: 1 channel (playout/a)",
        "paused before: 1 channel (playout/b)",
        "failed: 2 channels: forbidden",
        "  playout/c",
        "  playout/d",
        "not confirmed by the operator within 10s: 1 channel: Ready=True",
        "  playout/a",
        "to let them go on: kubectl twitch resume a b -n playout",
    ]


def test_who_paused_one_channel_is_told_how_to_resume_that_one() -> None:
    told = report(Outcome([Place("playout", "a")]), EVERYWHERE, resume=False, wait=10).splitlines()
    assert told[-1] == "to let it go on: kubectl twitch resume a -n playout"


@pytest.mark.parametrize(
    ("scope", "arguments"),
    [
        (NAMED, "x y -n playout"),
        (Scope(named=False, namespace="playout"), "--all -n playout"),
        (EVERYWHERE, "--all"),
        (Scope(named=True, namespace="playout", context="dc 2"), "x y -n playout --context 'dc 2'"),
    ],
)
def test_the_remedy_resumes_no_more_than_was_paused(scope: Scope, arguments: str) -> None:
    paused = Outcome([Place("playout", "y")], [Place("playout", "x")])
    told = report(paused, scope, resume=False, wait=0).splitlines()
    assert told[-1] == f"to let them go on: kubectl twitch resume {arguments}"


def test_the_operators_word_stands_with_what_it_confirms() -> None:
    here, gone = Place("playout", "a"), Place("playout", "gone")
    outcome = Outcome([here], failed={gone: "no TwitchChannel gone"})
    assert report(outcome, NAMED, resume=True, wait=10).splitlines() == [
        "resumed: 1 channel (playout/a)",
        "the operator confirms it",
        "failed: 1 channel: no TwitchChannel gone",
        "  playout/gone",
    ]


def test_what_would_be_resumed_is_named_with_who_paused_it() -> None:
    paused = {Place("b", "mst3k"): "2027-01-15T08:00:00Z by alice: wrong feed", Place("a", "x"): ""}
    assert choice(paused).splitlines() == [
        "2 channels are paused:",
        "  a/x",
        "  b/mst3k   2027-01-15T08:00:00Z by alice: wrong feed",
    ]


def test_names_and_all_of_them_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        kubectl_main(["resume", "mst3k", "--all"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize("verdict", [Verdict.PAUSED, Verdict.SUSPENDED, Verdict.NOT_ELIGIBLE])
def test_a_reason_that_is_the_verdict_is_told_once(verdict: Verdict) -> None:
    assert Readiness.of(verdict.value, "held back") == Readiness(verdict, "held back")
    other = Readiness.of("ScopeMissing", "consent again")
    assert other == Readiness(Verdict.CHANNEL_NOT_READY, "ScopeMissing: consent again")


def test_many_channels_are_counted_and_not_listed() -> None:
    many = Outcome([Place("playout", f"c{number}") for number in range(100)])
    assert many.complete
    confirmed = report(many, EVERYWHERE, resume=True, wait=10)
    assert confirmed == "resumed: 100 channels\nthe operator confirms it"
    assert report(many, EVERYWHERE, resume=True, wait=0) == "resumed: 100 channels"


def test_no_channel_at_all_is_told() -> None:
    assert report(Outcome(), EVERYWHERE, resume=False, wait=10) == "there are no TwitchChannels"
