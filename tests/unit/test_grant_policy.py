"""What a grant needs next: facts → plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from controller.channels.policies.grant_facts import GrantFacts, Holding, Input, RevokedGrant
from controller.channels.policies.grant_plan import (
    Import,
    Plan,
    Refresh,
    Revoke,
    StartDevice,
    Store,
    Validate,
    ends,
    plan,
    refresh_time,
    remedy,
)
from controller.policies.rest import Rest
from controller.sensitive import Sensitive
from tests.unit.grant_cases import (
    AT_REST,
    BY_CODE,
    COMMAND,
    DEAD,
    DEVICE,
    EMPTY,
    FOREIGN,
    FRESH,
    HOUR,
    LOGIN_AT_REST,
    MISSING,
    NO_APP,
    NOW,
    OTHER,
    REFUSED,
    REJECTED,
    TOKEN,
    USED,
    holding,
    planned,
)

if TYPE_CHECKING:
    from controller.policies.problems import Blocked

CODE = Input(Sensitive("code"), "http://localhost:3000/auth/twitch/callback")
ELSEWHERE = replace(CODE, redirect_uri="http://localhost:3001/callback")
LEFT = replace(
    EMPTY,
    holding=Holding(input_sha256=TOKEN.sha256, revoke_request="2026-01-01"),
    revoke_request="2026-01-01",
)
DYING = replace(AT_REST, dead=replace(DEAD, since=NOW - 60), validated_at=NOW - 30)
EXPIRED = holding(AT_REST, grant=FRESH.without_access())


def blocked(step: Plan) -> Blocked:
    assert isinstance(step, Rest)
    assert step.until is None
    assert step.blocked is not None
    return step.blocked


def test_the_checks_follow_the_order_of_the_users_steps() -> None:
    everything = replace(
        LOGIN_AT_REST,
        blocked=FOREIGN,
        unsaved=True,
        no_app=NO_APP,
        revoke_request="now",
        rejected=REJECTED,
        given=OTHER,
        holding=Holding(),
    )
    mended: list[dict[str, object]] = [
        {"blocked": None}, {"unsaved": False}, {"no_app": None}, {"revoke_request": ""},
        {"rejected": None}, {"given": None}, {"holding": Holding(FRESH.without_access())},
        {"holding": Holding(FRESH)},
    ]  # fmt: skip
    steps = [planned(everything)]
    for mend in mended:
        everything = replace(everything, **mend)  # type: ignore[arg-type]
        steps.append(planned(everything))
    assert steps == [
        Rest(None, FOREIGN), Store(), Rest(None, NO_APP), Revoke("now"), Rest(None, REJECTED),
        Import(OTHER), StartDevice(), Refresh(), Rest(NOW + HOUR),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        # The application and the token Secret come first, whatever else is wrong.
        (replace(AT_REST, no_app=NO_APP), Rest(None, NO_APP)),
        (replace(AT_REST, no_app=NO_APP, given=MISSING), Rest(None, NO_APP)),
        (replace(EXPIRED, no_app=NO_APP, dead=DEAD), Rest(None, NO_APP)),
        (replace(AT_REST, blocked=FOREIGN, no_app=NO_APP), Rest(None, FOREIGN)),
        # A grant that is newer than its Secret is written before anything is done with it.
        (replace(AT_REST, unsaved=True), Store()),
        (replace(AT_REST, unsaved=True, no_app=NO_APP), Store()),
        (replace(AT_REST, unsaved=True, given=OTHER), Store()),
        (replace(AT_REST, unsaved=True, revoke_request="now"), Store()),
        (replace(EXPIRED, unsaved=True), Store()),
        # The token itself.
        (EXPIRED, Refresh()),
        (replace(EXPIRED, validated_at=None), Refresh()),
        (holding(AT_REST, grant=replace(FRESH, expires_at=NOW + HOUR)), Refresh()),
        (holding(AT_REST, grant=replace(FRESH, expires_at=NOW + HOUR + 1)), Rest(NOW + 1)),
        (replace(AT_REST, validated_at=None), Validate()),
        (replace(AT_REST, validated_at=NOW - HOUR), Validate()),
        (replace(AT_REST, validated_at=NOW - HOUR + 1), Rest(NOW + 1)),
        (AT_REST, Rest(NOW + HOUR)),
        # Scopes and logins are told by conditions: only a device code is offered by itself.
        (holding(AT_REST, grant=replace(FRESH, scopes=())), Rest(NOW + HOUR)),
        (replace(AT_REST, consent=replace(BY_CODE, login="other")), Rest(NOW + HOUR)),
    ],
)  # fmt: skip
def test_the_next_step_follows_from_the_facts(facts: GrantFacts, step: Plan) -> None:
    assert planned(facts) == step


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (EMPTY, Import(TOKEN)),
        (replace(EMPTY, consent=BY_CODE, given=CODE), Import(CODE)),
        # What was taken is not taken again, be it a code or a token.
        (AT_REST, Rest(NOW + HOUR)),
        (holding(replace(AT_REST, consent=BY_CODE, given=CODE), input_sha256=CODE.sha256),
         Rest(NOW + HOUR)),
        (holding(replace(AT_REST, consent=BY_CODE, given=ELSEWHERE), input_sha256=CODE.sha256),
         Rest(NOW + HOUR)),
        (holding(AT_REST, grant=None), "AuthorizationRevoked"),
        # A new input is taken at once, whatever the former grant does.
        (replace(AT_REST, given=OTHER), Import(OTHER)),
        (replace(EXPIRED, given=OTHER), Import(OTHER)),
        (replace(AT_REST, given=OTHER, dead=DEAD), Import(OTHER)),
        # What it would take the place of is looked at before.
        (replace(AT_REST, given=OTHER, validated_at=None), Validate()),
        (replace(EXPIRED, given=OTHER, validated_at=None), Import(OTHER)),
        # A refused one is not tried again, and the former grant goes on.
        (replace(EMPTY, refusals=REFUSED), Rest(None, USED)),
        (replace(AT_REST, given=OTHER, refusals={OTHER.key: USED}), Rest(NOW + HOUR)),
        (replace(EXPIRED, given=OTHER, refusals={OTHER.key: USED}), Refresh()),
        # The refusal of one says nothing about another.
        (replace(EMPTY, given=OTHER, refusals=REFUSED), Import(OTHER)),
        # A code may be good though its redirect URI was not.
        (replace(EMPTY, given=CODE, refusals={CODE.key: USED}), Rest(None, USED)),
        (replace(EMPTY, given=ELSEWHERE, refusals={CODE.key: USED}), Import(ELSEWHERE)),
        (replace(EMPTY, given=replace(CODE, redirect_uri=None), refusals={CODE.key: USED}),
         Import(replace(CODE, redirect_uri=None))),
        # A grant goes on without its input.
        (replace(AT_REST, given=MISSING), Rest(NOW + HOUR)),
        (replace(EXPIRED, given=MISSING), Refresh()),
        (replace(EMPTY, given=MISSING), Rest(None, MISSING)),
    ],
)  # fmt: skip
def test_an_input_is_imported_once(facts: GrantFacts, step: Plan | str) -> None:
    if isinstance(step, str):
        assert blocked(planned(facts)).reason == step
    else:
        assert planned(facts) == step


def test_a_refusal_is_remembered_by_fingerprint_and_redirect_uri() -> None:
    assert CODE.key == (Sensitive("code").sha256(), "http://localhost:3000/auth/twitch/callback")
    assert TOKEN.key == (Sensitive("given").sha256(), None)
    assert "given" not in repr(TOKEN.key)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        # The wish is carried out once, whatever state the grant is in.
        (replace(AT_REST, revoke_request="now"), Revoke("now")),
        (replace(EXPIRED, revoke_request="now", dead=DEAD), Revoke("now")),
        (replace(AT_REST, revoke_request="now", rejected=REJECTED), Revoke("now")),
        (replace(EMPTY, revoke_request="now"), Revoke("now")),
        (replace(LEFT, revoke_request="again"), Revoke("again")),
        # A wish that was carried out, or was taken back, does nothing.
        (holding(replace(AT_REST, revoke_request="now"), revoke_request="now"), Rest(NOW + HOUR)),
        (holding(AT_REST, revoke_request="now"), Rest(NOW + HOUR)),
        # Coming back takes something new.
        (replace(LEFT, given=OTHER), Import(OTHER)),
        (replace(LEFT, given=OTHER, refusals={OTHER.key: USED}), Rest(None, USED)),
        (replace(LEFT, given=OTHER, rejected=REJECTED), Rest(None, REJECTED)),
    ],
)  # fmt: skip
def test_who_wants_to_leave_leaves_once(facts: GrantFacts, step: Plan) -> None:
    assert planned(facts) == step


@pytest.mark.parametrize("given", [TOKEN, MISSING])
@pytest.mark.parametrize("request_", ["2026-01-01", ""])
def test_who_left_is_told_how_to_come_back(given: Input | Blocked, request_: str) -> None:
    told = blocked(planned(replace(LEFT, given=given, revoke_request=request_)))
    assert (told.reason, told.human) == ("AuthorizationRevoked", True)
    assert "twitch-operator.dev/revokeRequestedAt" in told.message
    assert COMMAND in told.message


@pytest.mark.parametrize("since", [NOW - 60, NOW])
@pytest.mark.parametrize("validated_at", [None, NOW - 120])
def test_a_grant_that_twitch_will_not_refresh_is_validated_at_once(
    since: float, validated_at: float | None
) -> None:
    facts = replace(AT_REST, dead=RevokedGrant("dead", since), validated_at=validated_at)
    assert planned(facts) == Validate()


def test_a_dying_grant_serves_until_its_access_token_ends() -> None:
    refreshing = holding(DYING, grant=replace(FRESH, expires_at=NOW + HOUR / 2))
    assert planned(refreshing) == Rest(NOW + HOUR / 2)
    assert planned(refreshing, HOUR / 2 - 1) == Rest(NOW + HOUR / 2)
    assert blocked(planned(refreshing, HOUR / 2)).reason == "AuthorizationRevoked"
    # Once that was done, it is validated on the hour as any other.
    assert planned(replace(AT_REST, dead=DEAD)) == Rest(NOW + HOUR)
    assert planned(DYING) == Rest(NOW - 30 + HOUR)
    assert planned(DYING, HOUR - 30) == Validate()


@pytest.mark.parametrize(
    "facts",
    [
        replace(EXPIRED, dead=DEAD),
        replace(EXPIRED, dead=DEAD, validated_at=None),
        replace(EXPIRED, dead=DEAD, given=MISSING),
        replace(EXPIRED, dead=DEAD, given=OTHER, refusals={OTHER.key: USED}),
        replace(EXPIRED, dead=DEAD, rejected=REJECTED),
    ],
)
def test_a_dead_grant_asks_for_a_new_consent(facts: GrantFacts) -> None:
    told = blocked(planned(facts))
    assert (told.reason, told.human) == ("AuthorizationRevoked", True)
    assert told.message.startswith("Twitch answered 401: dead. ")
    assert COMMAND in told.message


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        # It is used as long as it lives, and neither refreshed nor replaced.
        (replace(AT_REST, rejected=REJECTED), Rest(NOW + HOUR)),
        (replace(AT_REST, rejected=REJECTED, given=OTHER), Rest(NOW + HOUR)),
        (holding(replace(AT_REST, rejected=REJECTED), grant=replace(FRESH, expires_at=NOW + 9)),
         Rest(NOW + 9)),
        (replace(AT_REST, rejected=REJECTED, validated_at=None), Validate()),
        (replace(EXPIRED, rejected=REJECTED), Rest(None, REJECTED)),
        (replace(EXPIRED, rejected=REJECTED, validated_at=None), Rest(None, REJECTED)),
        (replace(EMPTY, rejected=REJECTED), Rest(None, REJECTED)),
        (replace(EMPTY, rejected=REJECTED, given=MISSING), Rest(None, REJECTED)),
        (holding(replace(LOGIN_AT_REST, rejected=REJECTED), grant=None), Rest(None, REJECTED)),
        (holding(replace(LOGIN_AT_REST, rejected=REJECTED), grant=None, device=DEVICE),
         Rest(None, REJECTED)),
    ],
)  # fmt: skip
def test_a_rejected_application_fetches_and_refreshes_nothing(
    facts: GrantFacts, step: Plan
) -> None:
    assert planned(facts) == step


def test_why_a_grant_ends_with_its_access_token_is_told_while_it_still_works() -> None:
    assert ends(AT_REST, NOW) is None
    assert ends(replace(AT_REST, rejected=REJECTED), NOW) == REJECTED
    for facts in (DYING, replace(DYING, rejected=REJECTED)):
        told = ends(facts, NOW)
        assert told is not None
        assert told.reason == "AuthorizationRevoked"
        assert COMMAND in told.message


def test_the_remedy_is_the_command_where_there_is_no_code_to_type() -> None:
    for facts in (AT_REST, LOGIN_AT_REST, EMPTY, holding(AT_REST, device=DEVICE)):
        assert remedy(facts, NOW) == f"let the broadcaster consent again: {COMMAND}"


def test_channels_refresh_at_different_times_well_before_the_end() -> None:
    assert refresh_time(FRESH, 0.0) == NOW + 3 * HOUR
    assert refresh_time(FRESH, 1.0) == pytest.approx(NOW + 2.6 * HOUR)


@pytest.mark.parametrize(
    ("lifetime", "before"), [(0.0, 30), (60.0, 30), (100.0, 30), (40.0, 20), (2.0, 1)]
)
def test_a_short_or_unknown_lifetime_is_refreshed_half_a_minute_before(
    lifetime: float, before: float
) -> None:
    grant = replace(FRESH, lifetime=lifetime, expires_at=NOW + 60)
    assert refresh_time(grant, 0.0) == NOW + 60 - before


def test_the_interval_of_validations_is_the_callers() -> None:
    assert plan(AT_REST, NOW + 60, 90) == Rest(NOW + 90)
    assert plan(AT_REST, NOW + 90, 90) == Validate()


def test_an_access_token_expires_at_its_instant() -> None:
    assert not FRESH.expired(FRESH.expires_at - 0.1)
    assert FRESH.expired(FRESH.expires_at)
    assert FRESH.without_access().expired(0.0)
    assert FRESH.without_access().refresh == FRESH.refresh
    assert Holding(FRESH, DEVICE).without_access() == Holding(FRESH.without_access(), DEVICE)
    assert Holding(device=DEVICE).without_access() == Holding(device=DEVICE)


def test_a_clock_that_is_set_back_delays_neither_validation_nor_refresh() -> None:
    assert planned(replace(AT_REST, validated_at=NOW + HOUR)) == Validate()
    assert planned(AT_REST, after=-HOUR) == Refresh()
    assert planned(AT_REST, after=-1.0) == planned(AT_REST)  # a small correction
