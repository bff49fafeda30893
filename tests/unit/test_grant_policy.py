"""What a grant needs next: facts → plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policies.grants import (
    Blocked,
    Facts,
    Grant,
    Idle,
    Import,
    Plan,
    Refresh,
    Store,
    Validate,
    plan,
    refresh_time,
)
from controller.sensitive import Sensitive

NOW = 1_700_000_000.0
HOUR = 3600.0
GIVEN, OTHER = Sensitive("given"), Sensitive("given-anew")

FRESH = Grant(
    access=Sensitive("access"),
    refresh=Sensitive("refresh"),
    expires_at=NOW + 4 * HOUR,
    lifetime=4 * HOUR,
    scopes=("channel:edit:commercial",),
    input_sha256=GIVEN.sha256(),
)
AT_REST = Facts(
    blocked=None,
    input_problem=None,
    input_token=GIVEN,
    refused_inputs=frozenset(),
    grant=FRESH,
    revoked=None,
    unsaved=False,
    validated_at=NOW,
    jitter=0.0,
)
NO_APP = Blocked("SecretNotFound", "spec.app.secretRef", human=False)
NO_INPUT = Blocked("SecretNotFound", "spec.authorization", human=False)
REFUSED = frozenset({GIVEN.sha256()})


def planned(facts: Facts, now: float = NOW) -> Plan:
    return plan(facts, now, HOUR)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        # The application and the token Secret come first, whatever else is wrong.
        (replace(AT_REST, blocked=NO_APP), NO_APP),
        (replace(AT_REST, blocked=NO_APP, unsaved=True, input_problem=NO_INPUT), NO_APP),
        # A grant that is newer than its Secret is written before anything is done with it.
        (replace(AT_REST, unsaved=True), Store()),
        (replace(AT_REST, unsaved=True, input_token=OTHER), Store()),
        (replace(AT_REST, unsaved=True, grant=FRESH.without_access()), Store()),
        # The input is imported once.
        (replace(AT_REST, grant=None), Import(GIVEN)),
        (replace(AT_REST, input_token=OTHER), Import(OTHER)),
        (replace(AT_REST, input_token=OTHER, revoked="dead"), Import(OTHER)),
        (replace(AT_REST, grant=None, input_token=OTHER, refused_inputs=REFUSED), Import(OTHER)),
        # A grant goes on without its input.
        (replace(AT_REST, input_token=None, input_problem=NO_INPUT), Idle(NOW + HOUR)),
        (replace(AT_REST, input_token=OTHER, refused_inputs=frozenset({OTHER.sha256()})),
         Idle(NOW + HOUR)),
        (replace(AT_REST, grant=None, input_token=None, input_problem=NO_INPUT), NO_INPUT),
        # The token itself.
        (replace(AT_REST, grant=FRESH.without_access()), Refresh()),
        (replace(AT_REST, grant=FRESH.without_access(), validated_at=None), Refresh()),
        (replace(AT_REST, grant=replace(FRESH, expires_at=NOW + HOUR)), Refresh()),
        (replace(AT_REST, grant=replace(FRESH, expires_at=NOW + HOUR + 1)), Idle(NOW + 1)),
        (replace(AT_REST, validated_at=None), Validate()),
        (replace(AT_REST, validated_at=NOW - HOUR), Validate()),
        (replace(AT_REST, validated_at=NOW - HOUR + 1), Idle(NOW + 1)),
        (AT_REST, Idle(NOW + HOUR)),
    ],
)  # fmt: skip
def test_the_next_step_follows_from_the_facts(facts: Facts, step: Plan) -> None:
    assert planned(facts) == step


@pytest.mark.parametrize(
    "facts",
    [
        replace(AT_REST, revoked="Twitch answered 401: dead"),
        replace(AT_REST, revoked="Twitch answered 401: dead", grant=FRESH.without_access()),
        replace(AT_REST, revoked="Twitch answered 401: dead", grant=None, refused_inputs=REFUSED),
        replace(AT_REST, revoked="Twitch answered 401: dead", refused_inputs=REFUSED),
    ],
)
def test_a_dead_grant_asks_for_a_new_consent(facts: Facts) -> None:
    step = planned(facts)
    assert isinstance(step, Blocked)
    assert (step.reason, step.human) == ("AuthorizationRevoked", True)
    assert step.message.startswith("Twitch answered 401: dead. ")
    assert "spec.authorization.refreshToken" in step.message


def test_an_input_that_was_refused_before_a_restart_is_told_too() -> None:
    step = planned(replace(AT_REST, grant=None, refused_inputs=REFUSED))
    assert isinstance(step, Blocked)
    assert step.message.startswith("Twitch refused the refresh token. ")


def test_channels_refresh_at_different_times_well_before_the_end() -> None:
    assert refresh_time(FRESH, 0.0) == NOW + 3 * HOUR
    assert refresh_time(FRESH, 1.0) == pytest.approx(NOW + 2.6 * HOUR)


@pytest.mark.parametrize("lifetime", [0.0, 60.0, 100.0])
def test_a_short_or_unknown_lifetime_is_refreshed_half_a_minute_before(lifetime: float) -> None:
    grant = replace(FRESH, lifetime=lifetime, expires_at=NOW + 60)
    assert refresh_time(grant, 0.0) == NOW + 30


def test_an_access_token_expires_at_its_instant() -> None:
    assert not FRESH.expired(FRESH.expires_at - 0.1)
    assert FRESH.expired(FRESH.expires_at)
    assert FRESH.without_access().expired(0.0)
    assert FRESH.without_access().refresh == FRESH.refresh


@given(
    left=st.floats(-HOUR, 5 * HOUR),
    validated=st.none() | st.floats(0, 2 * HOUR),
    jitter=st.floats(0, 1),
)
def test_idle_ends_in_the_future_and_while_the_token_lives(
    left: float, validated: float | None, jitter: float
) -> None:
    facts = replace(
        AT_REST,
        grant=replace(FRESH, expires_at=NOW + left),
        validated_at=None if validated is None else NOW - validated,
        jitter=jitter,
    )
    step = planned(facts)
    if isinstance(step, Idle):
        assert NOW < step.until <= min(NOW + HOUR, NOW + left - 30)
    else:
        assert step in (Refresh(), Validate())
