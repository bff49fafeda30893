"""Conditions from facts: each reason, and what the summary makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policies.conditions import (
    ChannelFacts,
    Finding,
    RuleFacts,
    channel_findings,
    ready_of,
    rule_findings,
)
from controller.policies.grants import COMMERCIAL_SCOPE, READ_ADS_SCOPE, Blocked

CHANNEL = ChannelFacts(
    spec_problem=None,
    suspended=False,
    blocked=None,
    failure=None,
    token_lives=True,
    scopes=(COMMERCIAL_SCOPE, READ_ADS_SCOPE),
    refused_input=None,
    wanted_login=None,
    login="mst3k",
    broadcaster_type="partner",
    rival=None,
    live=True,
)
READY = Finding("Ready", "True", "Succeeded", "")
RULE = RuleFacts(
    problem=None,
    suspended=False,
    feed_blocked=None,
    feed_connected=True,
    feed_reason="Succeeded",
    feed_message="connected",
    channel="mst3k",
    channel_ready=READY,
)
WAITS = Blocked("SecretNotFound", "spec.app.secretRef: Secret app does not exist", human=False)
HUMAN = Blocked("ClientRejected", "spec.app.secretRef: correct client-secret", human=True)


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
        ({"token_lives": False, "failure": "Twitch answered 503"}, "TransientError", WAITING,
         "Twitch answered 503; it is tried again"),
        ({"token_lives": False}, "AuthorizationPending", WAITING, "is being fetched"),
        ({"login": None}, "AuthorizationPending", WAITING, "is being fetched"),
        ({"login": None, "failure": "no answer"}, "AuthorizationPending", WAITING, "no answer"),
        ({"scopes": (READ_ADS_SCOPE,)}, "ScopeMissing", STALLED, "consent anew"),
        ({"scopes": ()}, "ScopeMissing", STALLED, COMMERCIAL_SCOPE),
        ({"wanted_login": "other"}, "LoginMismatch", STALLED, "correct spec.login"),
        ({"rival": "elder"}, "Conflict", STALLED, "TwitchChannel elder"),
        ({"broadcaster_type": ""}, "NotEligible", STALLED, "neither affiliate nor partner"),
        ({"suspended": True}, "Suspended", SLEEPS, "spec.suspend is true"),
        ({"suspended": True, "blocked": HUMAN}, "Suspended", SLEEPS, "spec.suspend is true"),
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
        "rival": "elder",
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
        ({"feed_connected": False, "feed_reason": "AccessDenied", "feed_message": "refuses"},
         "AccessDenied", STALLED, "refuses"),
        ({"channel_ready": None}, "ChannelNotFound", WAITING, "TwitchChannel mst3k"),
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
    assert rule(feed_blocked=WAITS)["FeedConnected"].reason == "SecretNotFound"


BLOCKED = st.none() | st.sampled_from([WAITS, HUMAN])
CHANNELS = st.builds(
    ChannelFacts,
    spec_problem=st.none() | st.just("spec.x: wrong"),
    suspended=st.booleans(),
    blocked=BLOCKED,
    failure=st.none() | st.just("Twitch answered 503"),
    token_lives=st.booleans(),
    scopes=st.lists(st.sampled_from([COMMERCIAL_SCOPE, READ_ADS_SCOPE])).map(tuple),
    wanted_login=st.none() | st.sampled_from(["mst3k", "other"]),
    login=st.none() | st.just("mst3k"),
    broadcaster_type=st.none() | st.sampled_from(["", "affiliate", "partner"]),
    rival=st.none() | st.just("elder"),
    live=st.none() | st.booleans(),
)
RULES = st.builds(
    RuleFacts,
    problem=st.none() | st.just(Blocked("InvalidExpression", "spec.when", human=True)),
    suspended=st.booleans(),
    feed_blocked=BLOCKED,
    feed_connected=st.none() | st.booleans(),
    feed_reason=st.sampled_from(["TransientError", "AccessDenied", "FeedStale"]),
    feed_message=st.just("message"),
    channel=st.just("mst3k"),
    channel_ready=st.none() | CHANNELS.map(lambda facts: ready_of(channel_findings(facts))),
)


@given(st.one_of(CHANNELS.map(channel_findings), RULES.map(rule_findings)))
def test_stalled_means_a_human_reconciling_means_waiting_and_never_both(
    findings: tuple[Finding, ...],
) -> None:
    found = by_type(findings)
    ready, stalled, reconciling = (found[name] for name in ("Ready", "Stalled", "Reconciling"))
    on = [finding.type for finding in (ready, stalled, reconciling) if finding.status == "True"]
    assert len(on) == (0 if ready.reason == "Suspended" else 1)
    assert (stalled.status == "True") == (
        ready.status != "True" and ready.human and ready.reason != "Suspended"
    )
    for finding in findings:
        assert finding.reason
        assert finding.reason.isalnum()
    if ready.status != "True":
        assert ready.message
