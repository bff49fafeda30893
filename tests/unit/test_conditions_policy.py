"""Conditions from facts: each reason, and what the summary makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.channels.policies.conditions import (
    ChannelFacts,
    channel_findings,
    commercials_ready,
)
from controller.policies.findings import Finding
from controller.policies.pausing import paused_message
from controller.policies.problems import Blocked
from controller.resources.twitchchannel import COMMERCIAL_SCOPE, READ_ADS_SCOPE, STREAM_KEY_SCOPE
from controller.triggers.policies.conditions import RuleFacts, rule_findings

NOW = 1_700_000_000.0
SCOPES = (COMMERCIAL_SCOPE, READ_ADS_SCOPE)
REMEDY = "let the broadcaster consent again: kubectl twitch authorize -n tv mst3k"
CHANNEL = ChannelFacts(
    spec_problem=None,
    suspended=False,
    blocked=None,
    failure=None,
    expires_at=NOW + 3600,
    ending=None,
    refused_input=None,
    remedy=REMEDY,
    scopes=SCOPES,
    wanted_scopes=SCOPES,
    wanted_login=None,
    login="mst3k",
    broadcaster_type="partner",
    conflict=None,
    live=True,
)
READY = Finding("Ready", "True", "Succeeded", "")
REJECTED = Finding("Ready", "False", "ClientRejected", "correct it", human=True)
RULE = RuleFacts(
    problem=None,
    suspended=False,
    feed_blocked=None,
    feed_connected=True,
    feed_reason="Succeeded",
    feed_message="connected",
    channel="mst3k",
    channel_ready=READY,
    namespace="tv",
)
WAITS = Blocked("SecretNotFound", "spec.app.secretRef: Secret app does not exist", human=False)
HUMAN = Blocked("ClientRejected", "spec.app.secretRef: correct client-secret", human=True)
ENDING = Blocked("AuthorizationRevoked", f"Twitch answered 401: {REMEDY}", human=True)
USED = Blocked("AuthorizationRevoked", f"the code was used before: {REMEDY}", human=True)
PENDING = Blocked("AuthorizationPending", "let the broadcaster type ABCD-EFGH", human=False)
PAUSED = paused_message("2027-01-15T08:00:00Z by alice: wrong feed", "mst3k", "tv")
KEY_WAITS = Blocked("TransientError", "spec.streamKeySecretName: retrying", human=False)
KEY_SCOPE = Blocked("ScopeMissing", f"spec.streamKeySecretName: {REMEDY}", human=True)


def by_type(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    found = {finding.type: finding for finding in findings}
    assert len(found) == len(findings)
    return found


def channel(**changes: Any) -> dict[str, Finding]:  # noqa: ANN401 - the fields of the facts
    return by_type(channel_findings(replace(CHANNEL, **changes)))


def rule(**changes: Any) -> dict[str, Finding]:  # noqa: ANN401 - the fields of the facts
    return by_type(rule_findings(replace(RULE, **changes)))


def summary(found: dict[str, Finding]) -> tuple[str, str, str, str]:
    return (
        found["Ready"].status,
        found["Ready"].reason,
        found["Reconciling"].status,
        found["Stalled"].status,
    )


FINE, SLEEPS = ("True", "False", "False"), ("False", "False", "False")
WAITING, STALLED = ("False", "True", "False"), ("False", "False", "True")
WARNED = ("True", "False", "True")


@pytest.mark.parametrize(
    ("changes", "reason", "states", "told"),
    [
        ({}, "Succeeded", FINE, "authorized by mst3k"),
        ({"live": False}, "Succeeded", FINE, "authorized by mst3k"),
        ({"live": None}, "Succeeded", FINE, "authorized by mst3k"),
        ({"wanted_login": "mst3k"}, "Succeeded", FINE, "authorized by mst3k"),
        ({"scopes": (COMMERCIAL_SCOPE,)}, "Succeeded", FINE, READ_ADS_SCOPE),
        ({"failure": "Twitch answered 503"}, "Succeeded", FINE, "authorized by mst3k"),
        ({"broadcaster_type": "affiliate"}, "Succeeded", FINE, "authorized by mst3k"),
        ({"spec_problem": "spec.app: missing"}, "InvalidSpec", STALLED, "spec.app: missing"),
        ({"blocked": WAITS}, "SecretNotFound", WAITING, "does not exist"),
        ({"blocked": HUMAN}, "ClientRejected", STALLED, "correct client-secret"),
        ({"blocked": PENDING}, "AuthorizationPending", WAITING, "type ABCD-EFGH"),
        ({"blocked": ENDING, "expires_at": None}, "AuthorizationRevoked", STALLED, REMEDY),
        ({"expires_at": None, "failure": "Twitch answered 503"}, "TransientError", WAITING,
         "Twitch answered 503; retrying"),
        ({"expires_at": None}, "AuthorizationPending", WAITING, "is being fetched"),
        ({"login": None}, "AuthorizationPending", WAITING, "is being fetched"),
        ({"scopes": None}, "AuthorizationPending", WAITING, "is being fetched"),
        ({"login": None, "failure": "no answer"}, "AuthorizationPending", WAITING, "no answer"),
        ({"scopes": (READ_ADS_SCOPE,)}, "ScopeMissing", STALLED, REMEDY),
        ({"scopes": ()}, "ScopeMissing", STALLED, COMMERCIAL_SCOPE),
        ({"wanted_login": "other"}, "LoginMismatch", STALLED, f"signed in as other, {REMEDY}"),
        ({"wanted_login": "other", "renamed": True}, "LoginChanged", WARNED,
         "correct spec.login to mst3k"),
        ({"conflict": "elder"}, "Conflict", STALLED, "TwitchChannel elder"),
        ({"broadcaster_type": ""}, "NotEligible", STALLED, "neither affiliate nor partner"),
        ({"suspended": True}, "Suspended", SLEEPS, "spec.suspend is true"),
        ({"suspended": True, "blocked": WAITS}, "Suspended", SLEEPS, "spec.suspend is true"),
        # What a human must change is to be changed though the channel sleeps or still works.
        ({"suspended": True, "blocked": HUMAN}, "Suspended", STALLED, "spec.suspend is true"),
        ({"ending": ENDING}, "Expiring", WARNED, REMEDY),
        ({"refused_input": USED}, "InputRefused", WARNED, REMEDY),
    ],
)  # fmt: skip
def test_a_channel_is_ready_or_says_why_not(
    changes: dict[str, Any], reason: str, states: tuple[str, str, str], told: str
) -> None:
    found = channel(**changes)
    ready, reconciling, stalled = states
    assert summary(found) == (ready, reason, reconciling, stalled)
    assert told in found["Ready"].message


def test_the_first_thing_to_do_is_told_first() -> None:
    everything = {
        "spec_problem": "spec.app: missing",
        "blocked": HUMAN,
        "scopes": (),
        "wanted_login": "other",
        "conflict": "elder",
        "broadcaster_type": "",
    }
    order = []
    while everything:
        order.append(channel(**everything)["Ready"].reason)
        everything.pop(next(iter(everything)))
    assert order == [
        "InvalidSpec", "ClientRejected", "ScopeMissing", "LoginMismatch", "Conflict", "NotEligible",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("live", "status", "reason"),
    [
        (True, "True", "Streaming"),
        (False, "False", "NotStreaming"),
        (None, "Unknown", "NotChecked"),
    ],
)
def test_a_channel_tells_whether_it_is_live(live: bool | None, status: str, reason: str) -> None:
    found = channel(live=live)["Live"]
    assert (found.status, found.reason) == (status, reason)


def test_authorized_stays_true_where_only_the_channel_is_not_eligible_or_suspended() -> None:
    assert channel(broadcaster_type="")["Authorized"].status == "True"
    assert channel(suspended=True)["Authorized"].status == "True"
    assert channel(suspended=True)["Suspended"].status == "True"
    assert channel(suspended=True, blocked=HUMAN)["Authorized"].reason == "ClientRejected"


@pytest.mark.parametrize(
    ("changes", "reason", "told"),
    [
        ({"ending": ENDING}, "Expiring", "until 2023-11-14T23:13:20Z, and no longer: Twitch answ"),
        ({"ending": HUMAN}, "Expiring", "correct client-secret"),
        ({"refused_input": USED}, "InputRefused", "by the former grant; the new one is refused: "),
        # What ends soon is more pressing than what might have replaced it.
        ({"refused_input": USED, "ending": ENDING}, "Expiring", "Twitch answered 401"),
    ],
)
def test_a_grant_that_works_warns_of_what_a_human_must_change(
    changes: dict[str, Any], reason: str, told: str
) -> None:
    found = channel(**changes)
    assert (found["Authorized"].status, found["Authorized"].reason) == ("True", reason)
    assert found["Authorized"].message.startswith("authorized by mst3k")
    assert told in found["Authorized"].message
    assert (found["Ready"].status, found["Stalled"].status) == ("True", "True")
    assert (found["Stalled"].reason, found["Stalled"].message) == (
        reason, found["Authorized"].message,
    )  # fmt: skip
    assert commercials_ready(replace(CHANNEL, **changes)).status == "True"


def test_a_warning_gives_way_to_what_keeps_the_grant_from_being_used() -> None:
    assert channel(ending=ENDING, expires_at=None)["Authorized"].reason == "AuthorizationPending"
    assert channel(ending=ENDING, scopes=())["Authorized"].reason == "ScopeMissing"
    assert channel(refused_input=USED, blocked=HUMAN)["Authorized"].reason == "ClientRejected"


@pytest.mark.parametrize(
    ("scopes", "wanted", "told"),
    [
        ((COMMERCIAL_SCOPE,), SCOPES, [READ_ADS_SCOPE, "cannot be confirmed", REMEDY]),
        ((COMMERCIAL_SCOPE,), (COMMERCIAL_SCOPE,), [READ_ADS_SCOPE, REMEDY]),
        (SCOPES, (*SCOPES, "user:write:chat", "chat:edit"),
         ["spec.scopes asks for: chat:edit, user:write:chat", REMEDY]),
        ((COMMERCIAL_SCOPE,), (*SCOPES, "chat:edit"), [READ_ADS_SCOPE, "chat:edit", REMEDY]),
    ],
)  # fmt: skip
def test_a_scope_that_is_only_wished_for_leaves_the_channel_ready(
    scopes: tuple[str, ...], wanted: tuple[str, ...], told: list[str]
) -> None:
    found = channel(scopes=scopes, wanted_scopes=wanted)
    assert summary(found) == ("True", "Succeeded", "False", "False")
    for words in told:
        assert words in found["Authorized"].message
        assert words in found["Ready"].message


def test_a_grant_that_has_all_that_is_asked_for_says_no_more() -> None:
    for scopes in (SCOPES, (*SCOPES, "more")):
        assert channel(scopes=scopes)["Authorized"].message == "authorized by mst3k"
    # The scope of the stream key is told by a condition of its own.
    wanted = (*SCOPES, STREAM_KEY_SCOPE)
    assert channel(wanted_scopes=wanted)["Authorized"].message == "authorized by mst3k"


@pytest.mark.parametrize(
    ("changes", "status", "reason", "states"),
    [
        ({"stream_key": True}, "True", "Succeeded", FINE),
        ({"stream_key": False}, "Unknown", "Pending", WAITING),
        ({"stream_key": False, "stream_key_problem": KEY_WAITS},
         "False", "TransientError", WAITING),
        ({"stream_key": False, "stream_key_problem": KEY_SCOPE}, "False", "ScopeMissing", STALLED),
        ({"stream_key": True, "stream_key_problem": KEY_SCOPE}, "False", "ScopeMissing", STALLED),
    ],
)  # fmt: skip
def test_a_stream_key_that_is_missing_is_told_and_commercials_run(
    changes: dict[str, Any], status: str, reason: str, states: tuple[str, str, str]
) -> None:
    found = channel(**changes)
    key, ready = found["StreamKeySynced"], found["Ready"]
    assert (key.status, key.reason) == (status, reason)
    assert summary(found) == (states[0], reason, states[1], states[2])
    assert found["Authorized"].status == "True"
    runs = commercials_ready(replace(CHANNEL, **changes))
    assert (runs.type, runs.status, runs.reason) == ("Ready", "True", "Succeeded")
    if ready.status != "True":
        assert ready.message == f"{key.message}; commercials run"


def test_no_stream_key_is_told_of_where_none_is_wanted() -> None:
    assert "StreamKeySynced" not in channel()
    assert "StreamKeySynced" not in channel(stream_key_problem=KEY_SCOPE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"suspended": True}, "Suspended"),
        ({"blocked": HUMAN}, "ClientRejected"),
        ({"broadcaster_type": ""}, "NotEligible"),
    ],
)
def test_what_keeps_commercials_from_running_comes_before_the_stream_key(
    changes: dict[str, Any], reason: str
) -> None:
    found = channel(stream_key=False, stream_key_problem=KEY_WAITS, **changes)
    assert found["Ready"].reason == reason
    assert found["StreamKeySynced"].reason == "TransientError"
    assert commercials_ready(replace(CHANNEL, **changes)).reason == reason


def test_a_channel_may_wait_for_one_thing_and_want_a_human_for_another() -> None:
    found = channel(ending=ENDING, stream_key=False)
    assert summary(found) == ("False", "Pending", "True", "True")
    assert found["Reconciling"].reason == "Pending"
    assert found["Stalled"].reason == "Expiring"


def test_no_fact_of_a_channel_is_about_its_cooldown_so_that_it_stays_ready() -> None:
    assert not any("cool" in name or "eligible" in name for name in CHANNEL.__slots__)
    assert channel()["Ready"].status == "True"


@pytest.mark.parametrize(
    ("changes", "reason", "states", "told"),
    [
        ({}, "Succeeded", FINE, "listening, for TwitchChannel mst3k"),
        ({"problem": Blocked("InvalidExpression", "spec.when: no", human=True)},
         "InvalidExpression", STALLED, "spec.when: no"),
        ({"problem": Blocked("InvalidSpec", "spec.x", human=True), "suspended": True},
         "InvalidSpec", STALLED, "spec.x"),
        ({"suspended": True}, "Suspended", SLEEPS, "matching events start nothing"),
        ({"feed_blocked": WAITS}, "SecretNotFound", WAITING, "does not exist"),
        ({"feed_blocked": Blocked("InvalidSecret", "no text", human=True)},
         "InvalidSecret", STALLED, "no text"),
        ({"feed_connected": None, "feed_reason": "Connecting"}, "Connecting", WAITING, ""),
        ({"feed_connected": False, "feed_reason": "TransientError", "feed_message": "502"},
         "TransientError", WAITING, "502"),
        ({"feed_connected": False, "feed_reason": "FeedStale"}, "FeedStale", WAITING, ""),
        ({"feed_connected": False, "feed_reason": "AccessDenied", "feed_message": "refuses",
          "feed_remedy": "check the keys"}, "AccessDenied", STALLED, "refuses: check the keys"),
        ({"channel_ready": None}, "ChannelNotFound", WAITING,
         "TwitchChannel mst3k does not exist in namespace tv"),
        ({"channel": None, "channel_ready": None}, "ChannelNotFound", WAITING, "of namespace tv"),
        ({"channel": None, "selected": 1}, "Succeeded", FINE, "listening, for 1 TwitchChannel"),
        ({"channel": None, "selected": 2}, "Succeeded", FINE, "listening, for 2 TwitchChannels"),
        ({"channel": None, "selected": 2, "unready": "a", "channel_ready": REJECTED},
         "ChannelNotReady", WAITING,
         "none of the 2 TwitchChannels that spec.channelSelector picks is ready; TwitchChannel a"),
        ({"channel": None, "unready": "a", "channel_ready": REJECTED}, "ChannelNotReady", WAITING,
         "TwitchChannel a is not ready (ClientRejected): correct it"),
        ({"channel_ready": Finding("Ready", "False", "ScopeMissing", "consent", human=True)},
         "ChannelNotReady", WAITING, "(ScopeMissing): consent"),
    ],
)  # fmt: skip
def test_a_rule_is_ready_or_says_why_not(
    changes: dict[str, Any], reason: str, states: tuple[str, str, str], told: str
) -> None:
    found = rule(**changes)
    ready, reconciling, stalled = states
    assert summary(found) == (ready, reason, reconciling, stalled)
    assert told in found["Ready"].message


def test_the_feed_of_a_rule_is_told_whatever_else_is_wrong() -> None:
    problem = Blocked("InvalidExpression", "spec.when", human=True)
    assert rule(problem=problem)["FeedConnected"].status == "True"
    assert rule(feed_connected=None)["FeedConnected"].status == "Unknown"
    # What is wrong with the spec is not waited for.
    silent = rule(problem=problem, feed_connected=None, feed_reason="Connecting")["FeedConnected"]
    assert (silent.status, silent.reason) == ("Unknown", "NotListening")
    assert rule(feed_blocked=WAITS)["FeedConnected"].reason == "SecretNotFound"


# What came with breaks and selectors


def test_a_paused_channel_is_neither_waited_for_nor_to_be_mended() -> None:
    found = channel(paused=PAUSED)
    assert summary(found) == ("False", "Paused", "False", "False")
    assert found["Ready"].message == (
        "commercials are held back since 2027-01-15T08:00:00Z by alice: wrong feed; to end that:"
        " kubectl twitch resume mst3k -n tv"
    )
    assert found["Authorized"].status == "True"
    runs = commercials_ready(replace(CHANNEL, paused=PAUSED))
    assert (runs.status, runs.reason) == ("False", "Paused")
    # What the spec says comes first; what a human must change is to be changed all the same.
    assert channel(paused=PAUSED, suspended=True)["Ready"].reason == "Suspended"
    assert summary(channel(paused=PAUSED, blocked=HUMAN)) == ("False", "Paused", "False", "True")


def test_an_ad_that_twitch_means_to_run_is_told_with_its_remedy() -> None:
    found = channel(next_ad=NOW)
    told = found["AdsManagerScheduled"]
    assert (told.status, told.reason) == ("True", "Scheduled")
    assert "2023-11-14T22:13:20Z" in told.message
    assert "Ads Manager" in told.message
    assert "snooze" in told.message
    assert summary(found) == ("True", "Succeeded", "False", "False")
    assert channel()["AdsManagerScheduled"].status == "False"


def test_a_feed_that_is_silent_for_longer_than_expected_is_stale() -> None:
    found = rule(silent_since=NOW)
    assert summary(found) == ("False", "FeedStale", "True", "False")
    assert "2023-11-14T22:13:20Z" in found["Ready"].message
    assert "spec.expectEvery" in found["Ready"].message
    assert found["FeedConnected"].status == "True"


@pytest.mark.parametrize(
    ("skew", "status", "told"),
    [
        (0.0, "False", ""),
        (5.0, "False", ""),
        (-5.0, "False", ""),
        (5.04, "True", "5 s ahead of the feed's, which counts as now"),
        (-90.25, "True", "90.2 s behind the feed's, which makes cues late"),
    ],
)
def test_a_clock_that_is_off_is_told_and_the_rule_stays_ready(
    skew: float, status: str, told: str
) -> None:
    found = rule(skew=skew)
    assert found["ClockSkew"].status == status
    assert told in found["ClockSkew"].message
    assert summary(found) == ("True", "Succeeded", "False", "False")
    assert "ClockSkew" not in rule()


@pytest.mark.parametrize(
    ("changes", "reason", "states", "told"),
    [
        ({}, "Succeeded", FINE, "listening, for 3 TwitchChannels"),
        ({"channel_ready": None, "selected": 0}, "ChannelNotFound", WAITING,
         "spec.channelSelector picks no TwitchChannel"),
        ({"channel_ready": Finding("Ready", "False", "Paused", "held")}, "ChannelNotReady", WAITING,
         "none of the 3 TwitchChannels that spec.channelSelector picks is ready; TwitchChannel b"),
    ],
)  # fmt: skip
def test_a_rule_that_selects_channels_is_ready_or_says_why_not(
    changes: dict[str, Any], reason: str, states: tuple[str, str, str], told: str
) -> None:
    found = rule(**{"channel": None, "selected": 3, "unready": "b", **changes})
    ready, reconciling, stalled = states
    assert summary(found) == (ready, reason, reconciling, stalled)
    assert told in found["Ready"].message


@pytest.mark.parametrize(
    ("value", "since"),
    [
        ("2027-01-15T08:00:00.123Z", "since 2027-01-15T08:00:00.123Z;"),
        ("true", "by the annotation twitch-operator.dev/paused=true;"),
        ("", "by the annotation twitch-operator.dev/paused=;"),
        ("since\x1b[2J", "by the annotation twitch-operator.dev/paused=since\\u001b[2J;"),
    ],
)
def test_whatever_the_annotation_says_the_remedy_names_the_channel(value: str, since: str) -> None:
    told = paused_message(value, "mst3k", "tv", what="messages")
    assert told == (
        f"messages are held back {since} to end that: kubectl twitch resume mst3k -n tv"
    )


def test_a_very_long_annotation_is_cut() -> None:
    assert len(paused_message("x" * 100_000, "mst3k", "tv")) < 700
