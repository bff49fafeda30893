"""Conditions for any facts: what the summary says agrees with its parts, and names a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from controller.channels.policies.conditions import (
    ChannelFacts,
    channel_findings,
    commercials_ready,
)
from controller.policies import problems
from controller.policies.pausing import paused_message
from controller.policies.problems import Blocked
from controller.resources.twitchchannel import COMMERCIAL_SCOPE, READ_ADS_SCOPE
from controller.triggers.policies.conditions import RuleFacts, rule_findings

if TYPE_CHECKING:
    from controller.policies.findings import Finding

NOW = 1_700_000_000.0
SCOPES = (COMMERCIAL_SCOPE, READ_ADS_SCOPE)
REMEDY = problems.consent_anew("kubectl twitch authorize -n tv mst3k")
WAITS = problems.missing_secret("spec.app.secretRef", "app", "tv", "client-id and client-secret")
HUMAN = problems.client_rejected("Twitch answered 403: invalid client secret", "app")
PENDING = problems.pending(problems.type_code("https://www.twitch.tv/activate", "ABCD", NOW))
ENDING = problems.revoked("Twitch answered 401", REMEDY)
USED = problems.code_refused("Twitch answered 400: Invalid authorization code", REMEDY)
KEY_WAITS = Blocked("TransientError", "spec.streamKeySecretName: retrying", human=False)
KEY_SCOPE = Blocked("ScopeMissing", f"spec.streamKeySecretName: {REMEDY}", human=True)

BLOCKED = st.none() | st.sampled_from([WAITS, HUMAN, PENDING])
CHANNELS = st.builds(
    ChannelFacts,
    spec_problem=st.none() | st.just("spec.x: wrong"),
    suspended=st.booleans(),
    blocked=BLOCKED,
    failure=st.none() | st.just("Twitch answered 503"),
    expires_at=st.none() | st.just(NOW),
    ending=st.none() | st.sampled_from([ENDING, HUMAN]),
    refused_input=st.none() | st.just(USED),
    remedy=st.just(REMEDY),
    scopes=st.lists(st.sampled_from(SCOPES)).map(tuple),
    wanted_scopes=st.sampled_from([SCOPES, SCOPES[:1], (*SCOPES, "chat:edit")]),
    wanted_login=st.none() | st.sampled_from(["mst3k", "other"]),
    login=st.none() | st.just("mst3k"),
    broadcaster_type=st.none() | st.sampled_from(["", "affiliate", "partner"]),
    conflict=st.none() | st.just("elder"),
    live=st.none() | st.booleans(),
    stream_key=st.none() | st.booleans(),
    stream_key_problem=st.none() | st.sampled_from([KEY_WAITS, KEY_SCOPE]),
    paused=st.none() | st.just(paused_message("true", "mst3k", "tv")),
    next_ad=st.none() | st.just(NOW),
)
RULES = st.builds(
    RuleFacts,
    problem=st.none() | st.just(Blocked("InvalidExpression", "spec.when", human=True)),
    suspended=st.booleans(),
    feed_blocked=BLOCKED,
    feed_connected=st.none() | st.booleans(),
    feed_reason=st.sampled_from(["TransientError", "AccessDenied", "FeedStale"]),
    feed_message=st.just("message"),
    channel=st.sampled_from(["mst3k", None]),
    channel_ready=st.none() | CHANNELS.map(commercials_ready),
    selected=st.integers(0, 3),
    silent_since=st.none() | st.just(NOW),
    skew=st.none() | st.floats(-100, 100),
)
REMEDIES = (
    "spec.x: wrong",  # the fault's own words name the field
    "orrect ",
    "delete ",
    "create it ",
    "let the broadcaster ",
    "until it is",
    "spec.suspend is true",
    "to end that: kubectl twitch resume",
    # What comes by itself has no other remedy than to wait.
    "retrying",
    "is being fetched",
    "Twitch answered 503",
)


def by_type(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    found = {finding.type: finding for finding in findings}
    assert len(found) == len(findings)
    return found


@given(st.one_of(CHANNELS.map(channel_findings), RULES.map(rule_findings)))
def test_stalled_means_a_human_and_reconciling_means_waiting(findings: tuple[Finding, ...]) -> None:
    found = by_type(findings)
    ready, stalled, reconciling = (found[name] for name in ("Ready", "Stalled", "Reconciling"))
    authorized = found.get("Authorized")
    warned = authorized is not None and authorized.human
    wrong = ready.status != "True" and ready.reason not in ("Suspended", "Paused")
    assert (stalled.status == "True") == ((wrong and ready.human) or warned)
    assert (reconciling.status == "True") == (wrong and not ready.human)
    # What is not ready says why, and is either waiting or wants a human (who may want it to sleep).
    if wrong:
        assert ready.message
        assert "True" in (stalled.status, reconciling.status)
    for finding in findings:
        assert finding.reason
        assert finding.reason.isalnum()
    for flag in (stalled, reconciling):
        assert (flag.status == "True") == bool(flag.message)


@given(CHANNELS)
def test_only_the_stream_key_tells_ready_from_what_cues_need(facts: ChannelFacts) -> None:
    found, runs = by_type(channel_findings(facts)), commercials_ready(facts)
    key = found.get("StreamKeySynced")
    if key is None or key.status == "True" or runs.status != "True":
        assert found["Ready"] == runs
    else:
        assert (found["Ready"].status, found["Ready"].reason) == ("False", key.reason)


@given(CHANNELS)
def test_whatever_is_wrong_with_a_channel_its_message_names_a_remedy(facts: ChannelFacts) -> None:
    found = by_type(channel_findings(facts))
    told = [found[name] for name in ("Ready", "Authorized") if found[name].status != "True"]
    told += [found[name] for name in ("Reconciling", "Stalled") if found[name].status == "True"]
    for finding in told:
        assert any(words in finding.message for words in REMEDIES), finding
        if finding.human:
            assert any(words in finding.message for words in REMEDIES[:7]), finding
