"""The grant policy for any facts: no step is senseless, and the steps come to an end."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controller.channels.policies.grant_facts import (
    Consent,
    Device,
    Grant,
    GrantFacts,
    Holding,
    Input,
    RevokedGrant,
)
from controller.channels.policies.grant_plan import (
    Import,
    Plan,
    PollDevice,
    Refresh,
    Revoke,
    StartDevice,
    Store,
    Validate,
    plan,
)
from controller.policies.problems import Blocked
from controller.policies.rest import Rest
from controller.resources.twitchchannel import COMMERCIAL_SCOPE, READ_ADS_SCOPE
from controller.sensitive import Sensitive
from tests.unit.grant_cases import APP, COMMAND, HOUR, NOW

MOST_STEPS = 8
SCOPES = (COMMERCIAL_SCOPE, READ_ADS_SCOPE)

AGO = st.floats(0, 2 * HOUR).map(lambda seconds: NOW - seconds)
SOME_SCOPES = st.sampled_from([(), SCOPES[:1], SCOPES, (*SCOPES, "more")])
INPUTS = st.builds(
    Input,
    credential=st.sampled_from([Sensitive("one"), Sensitive("two")]),
    redirect_uri=st.sampled_from([None, "http://localhost:3000", "http://localhost:3001"]),
)
BLOCKED = st.builds(
    Blocked,
    reason=st.sampled_from(["SecretNotFound", "ClientRejected", "AuthorizationRevoked"]),
    message=st.just("do this"),
    human=st.booleans(),
)
GRANTS = st.builds(
    Grant,
    access=st.just(Sensitive("access")),
    refresh=st.just(Sensitive("refresh")),
    expires_at=st.just(0.0) | st.floats(NOW - HOUR, NOW + 5 * HOUR),
    lifetime=st.just(0.0) | st.floats(1, 5 * HOUR),
    scopes=SOME_SCOPES,
)
DEVICES = st.builds(
    Device,
    code=st.just(Sensitive("device")),
    user_code=st.just("ABCD-EFGH"),
    verification_uri=st.just("https://www.twitch.tv/activate"),
    expires_at=st.floats(NOW - HOUR, NOW + HOUR),
    interval=st.floats(1, 60),
    client_id=st.sampled_from([APP, "former"]),
    scopes=SOME_SCOPES,
)
REQUESTS = st.sampled_from(["", "2026-01-01", "2026-02-02"])
HOLDINGS = st.builds(
    Holding,
    grant=st.none() | GRANTS,
    device=st.none() | DEVICES,
    input_sha256=st.sampled_from(["", Sensitive("one").sha256(), Sensitive("two").sha256()]),
    revoke_request=REQUESTS,
)
CONSENTS = st.builds(
    Consent,
    way=st.sampled_from(["refreshToken", "authorizationCode", "deviceCode"]),
    command=st.just(COMMAND),
    scopes=st.sampled_from([SCOPES[:1], SCOPES]),
    client_id=st.just(APP),
    login=st.sampled_from([None, "mst3k"]),
)
FACTS = st.builds(
    GrantFacts,
    consent=CONSENTS,
    blocked=st.none() | BLOCKED,
    no_app=st.none() | BLOCKED,
    rejected=st.none() | BLOCKED,
    given=st.none() | BLOCKED | INPUTS,
    refusals=st.dictionaries(INPUTS.map(lambda given: given.key), BLOCKED, max_size=2),
    holding=HOLDINGS,
    unsaved=st.booleans(),
    dead=st.none() | st.builds(RevokedGrant, told=st.just("Twitch answered 401"), since=AGO),
    validated_at=st.none() | AGO,
    login=st.sampled_from([None, "mst3k", "other"]),
    revoke_request=REQUESTS,
    asked=st.booleans(),
    polled_at=st.just(0.0) | AGO,
    slower=st.sampled_from([0.0, 5.0, 60.0]),
    jitter=st.floats(0, 1),
)


def planned(facts: GrantFacts, now: float = NOW) -> Plan:
    return plan(facts, now, HOUR)


@given(FACTS)
def test_nothing_is_done_without_a_secret_to_keep_it_in(facts: GrantFacts) -> None:
    step = planned(facts)
    if facts.blocked is not None:
        assert step == Rest(None, facts.blocked)
    elif facts.unsaved:
        assert step == Store()
    elif facts.no_app is not None:
        assert step == Rest(None, facts.no_app)
    else:
        assert step != Store()


@given(FACTS)
def test_no_token_is_spent_on_what_twitch_refused(facts: GrantFacts) -> None:
    step, grant = planned(facts), facts.holding.grant
    if isinstance(step, Import):
        assert step.given == facts.given
        assert step.given.key not in facts.refusals
        assert step.given.sha256 != facts.holding.input_sha256
    if isinstance(step, Refresh):
        assert grant is not None
        assert facts.dead is None
    if isinstance(step, Validate):
        assert grant is not None
        assert not (grant.expired(NOW) and (facts.dead or facts.rejected))
    if isinstance(step, Import | Refresh | StartDevice | PollDevice):
        assert facts.rejected is None
        assert facts.revoke_request in ("", facts.holding.revoke_request)
    if isinstance(step, Revoke):
        assert step.request == facts.revoke_request != facts.holding.revoke_request


@given(FACTS)
def test_a_device_code_is_asked_about_only_when_it_may_be(facts: GrantFacts) -> None:
    step, device = planned(facts), facts.holding.device
    if isinstance(step, PollDevice):
        assert device is not None
        assert facts.polled_at + device.interval + facts.slower <= NOW
        assert device.expires_at > NOW
        assert (device.client_id, device.scopes) == (APP, facts.consent.scopes)
    if isinstance(step, StartDevice | PollDevice):
        assert facts.consent.by_device


@given(FACTS)
def test_rest_ends_in_the_future_and_says_what_is_missing(facts: GrantFacts) -> None:
    step, grant = planned(facts), facts.holding.grant
    if not isinstance(step, Rest):
        return
    if step.until is not None:
        assert NOW < step.until < math.inf
    if step.blocked is not None:
        assert step.blocked.message
        assert facts.blocked or facts.no_app or grant is None or grant.expired(NOW)
        return
    # A grant that works is looked at before anything about it falls due.
    assert grant is not None
    assert step.until is not None
    assert facts.validated_at is not None
    assert step.until <= min(facts.validated_at + HOUR, grant.expires_at)


@given(FACTS)
def test_rest_is_over_when_it_says_so_and_not_before(facts: GrantFacts) -> None:
    step = planned(facts)
    if isinstance(step, Rest) and step.until is not None:
        just_before = planned(facts, math.nextafter(step.until, 0.0))
        assert isinstance(just_before, Rest)
        then = planned(facts, step.until)
        # What comes is a step, or another reason to rest: an access token that ended.
        assert then != step
        if isinstance(then, Rest):
            assert then.blocked is not None or then.until != step.until


@given(FACTS)
def test_steps_that_go_well_come_to_rest(facts: GrantFacts) -> None:
    steps: list[Plan] = []
    while not isinstance(step := planned(facts), Rest):
        steps.append(step)
        assert len(steps) < MOST_STEPS, steps
        facts = after(facts, step)
    if facts.blocked is None and facts.no_app is None:
        assert not facts.unsaved


def after(facts: GrantFacts, step: Plan) -> GrantFacts:
    """The facts once a step went well."""
    held = facts.holding
    if isinstance(step, Store):
        return replace(facts, unsaved=False)
    if isinstance(step, Validate):
        return replace(facts, validated_at=NOW, login=facts.login or "mst3k")
    if isinstance(step, StartDevice):
        assert facts.consent.by_device
        device = Device(
            Sensitive("another"), "IJKL", "https://x", NOW + 1800, 5.0, APP, facts.consent.scopes
        )
        return replace(facts, holding=replace(held, device=device), polled_at=NOW, slower=0.0)
    if isinstance(step, Revoke):
        spent = facts.given.sha256 if isinstance(facts.given, Input) else held.input_sha256
        gone = Holding(input_sha256=spent, revoke_request=step.request)
        return replace(facts, holding=gone, validated_at=None, login=None, dead=None, asked=False)
    return with_tokens(facts, step)


def with_tokens(facts: GrantFacts, step: Plan) -> GrantFacts:
    """The facts once Twitch gave tokens."""
    held = facts.holding
    scopes = held.grant.scopes if held.grant is not None else SCOPES
    if isinstance(step, Import):
        held = replace(held, device=None, input_sha256=step.given.sha256)
    elif isinstance(step, PollDevice):
        held, scopes = replace(held, device=None), facts.consent.scopes
    else:
        assert isinstance(step, Refresh)
    grant = Grant(Sensitive("new"), Sensitive("new"), NOW + 4 * HOUR, 4 * HOUR, scopes)
    return replace(facts, holding=replace(held, grant=grant), validated_at=None, dead=None)
