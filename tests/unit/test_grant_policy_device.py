"""A consent by device code: when one is asked for, when Twitch is asked about it, when it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.channels.policies.grant_facts import Device, GrantFacts, Holding
from controller.channels.policies.grant_plan import (
    Plan,
    PollDevice,
    Refresh,
    Revoke,
    StartDevice,
    Store,
    Validate,
    ends,
    remedy,
)
from controller.policies.rest import Rest
from tests.unit.grant_cases import (
    AT_REST,
    BY_DEVICE,
    COMMAND,
    DEAD,
    DEVICE,
    FRESH,
    HOUR,
    LOGIN_AT_REST,
    NO_APP,
    NOW,
    SCOPES,
    holding,
    planned,
)

NEW = replace(LOGIN_AT_REST, holding=Holding(), validated_at=None, login=None)
SHOWN = replace(NEW, holding=Holding(device=DEVICE), polled_at=NOW)
LEFT = replace(NEW, holding=Holding(revoke_request="done"), revoke_request="done")
DYING = replace(LOGIN_AT_REST, dead=replace(DEAD, since=NOW - 60), validated_at=NOW)
NARROW = replace(FRESH, scopes=SCOPES[:1])
RUN_OUT = replace(DEVICE, expires_at=NOW)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (NEW, StartDevice()),
        (replace(NEW, asked=True), StartDevice()),
        (replace(NEW, no_app=NO_APP), Rest(None, NO_APP)),
        (replace(SHOWN, unsaved=True), Store()),
        (replace(SHOWN, revoke_request="now"), Revoke("now")),
        # What runs out, or is another consent's, is asked for anew.
        (holding(SHOWN, device=RUN_OUT), StartDevice()),
        (holding(SHOWN, device=replace(DEVICE, client_id="former")), StartDevice()),
        (holding(SHOWN, device=replace(DEVICE, scopes=SCOPES[:1])), StartDevice()),
        (replace(SHOWN, consent=replace(BY_DEVICE, scopes=(*SCOPES, "more"))), StartDevice()),
        # A grant that does what it should needs nobody.
        (LOGIN_AT_REST, Rest(NOW + HOUR)),
        (holding(LOGIN_AT_REST, grant=FRESH.without_access()), Refresh()),
        (replace(LOGIN_AT_REST, consent=replace(BY_DEVICE, login="mst3k")), Rest(NOW + HOUR)),
        (holding(LOGIN_AT_REST, grant=replace(FRESH, scopes=(*SCOPES, "more"))),
         Rest(NOW + HOUR)),
        # The broadcaster is asked where the grant is not enough, or another's, or dies.
        (holding(LOGIN_AT_REST, grant=NARROW), StartDevice()),
        (replace(LOGIN_AT_REST, consent=replace(BY_DEVICE, login="other")), StartDevice()),
        (DYING, StartDevice()),
        (holding(DYING, grant=FRESH.without_access()), StartDevice()),
        (replace(DYING, validated_at=None), StartDevice()),
        # Not before it is known what it is.
        (holding(replace(LOGIN_AT_REST, validated_at=None), grant=NARROW), Validate()),
        (replace(LOGIN_AT_REST, validated_at=None, login=None,
                 consent=replace(BY_DEVICE, login="other")), Validate()),
        # Who gives a token or a code is not asked to type one.
        (holding(AT_REST, grant=NARROW), Rest(NOW + HOUR)),
        (holding(AT_REST, device=DEVICE), Rest(NOW + HOUR)),
    ],
)  # fmt: skip
def test_a_code_is_asked_for_where_it_is_needed(facts: GrantFacts, step: Plan) -> None:
    assert planned(facts) == step


@pytest.mark.parametrize(
    ("slower", "at"), [(0.0, 5.0), (5.0, 10.0), (10.0, 15.0)], ids=["as told", "slower", "slowest"]
)
def test_a_code_is_asked_about_at_its_interval(slower: float, at: float) -> None:
    facts = replace(SHOWN, slower=slower)
    step = planned(facts)
    assert isinstance(step, Rest)
    assert step.until == NOW + at
    assert planned(facts, at - 0.1) == step
    assert planned(facts, at) == PollDevice()
    assert planned(facts, HOUR / 4) == PollDevice()


def test_a_code_that_runs_out_is_replaced_at_its_instant() -> None:
    late = replace(SHOWN, polled_at=NOW + 1798)
    step = planned(late, 1799)
    assert isinstance(step, Rest)
    assert step.until == DEVICE.expires_at
    assert planned(late, 1800) == StartDevice()


def test_a_code_is_offered_while_it_lives() -> None:
    step = planned(SHOWN)
    assert isinstance(step, Rest)
    assert step.blocked is not None
    assert (step.blocked.reason, step.blocked.human) == ("AuthorizationPending", False)
    assert step.blocked.message == (
        "let the broadcaster open https://www.twitch.tv/activate and type ABCD-EFGH until"
        " 2023-11-14T22:43:20Z; then a new code is shown"
    )


def test_a_restart_keeps_the_code_that_is_shown() -> None:
    restarted = replace(NEW, holding=Holding(device=DEVICE), polled_at=NOW + 60)
    step = planned(restarted, 60)
    assert isinstance(step, Rest)
    assert step.until == NOW + 65
    assert planned(restarted, 65) == PollDevice()


@pytest.mark.parametrize(
    "facts",
    [
        holding(LOGIN_AT_REST, grant=NARROW),
        replace(LOGIN_AT_REST, consent=replace(BY_DEVICE, login="other")),
        DYING,
    ],
    ids=["narrow", "another's", "dying"],
)
def test_while_a_grant_works_nobody_hurries(facts: GrantFacts) -> None:
    offered = replace(holding(facts, device=DEVICE), polled_at=NOW)
    assert planned(offered) == Rest(NOW + 30)
    assert planned(offered, 29) == Rest(NOW + 30)
    assert planned(offered, 30) == PollDevice()
    slow = replace(offered, slower=40.0)
    assert planned(slow) == Rest(NOW + 45)


def test_once_a_grant_works_no_more_the_interval_is_the_codes_own() -> None:
    dying = replace(DYING, holding=Holding(replace(FRESH, expires_at=NOW + 6), DEVICE))
    offered = replace(dying, polled_at=NOW)
    assert planned(offered, 5) == Rest(NOW + 6)
    assert planned(offered, 6) == PollDevice()


def test_a_grant_is_kept_fresh_while_a_code_is_offered() -> None:
    offered = replace(holding(LOGIN_AT_REST, grant=NARROW, device=DEVICE), polled_at=NOW)
    assert planned(replace(offered, validated_at=NOW - HOUR)) == Validate()
    assert planned(holding(offered, grant=replace(NARROW, expires_at=NOW + HOUR))) == Refresh()
    soon = holding(offered, grant=replace(NARROW, expires_at=NOW + HOUR + 2))
    assert planned(soon) == Rest(NOW + 2)


def test_a_dead_grant_shows_the_code_that_mends_it() -> None:
    over = replace(holding(DYING, grant=FRESH.without_access(), device=DEVICE), polled_at=NOW)
    step = planned(over)
    assert isinstance(step, Rest)
    assert step.until == NOW + 5
    assert step.blocked == ends(over, NOW)
    assert step.blocked is not None
    assert step.blocked.reason == "AuthorizationRevoked"
    assert "ABCD-EFGH" in step.blocked.message
    assert "ABCD-EFGH" in remedy(over, NOW)
    assert COMMAND not in remedy(over, NOW)


def test_a_dying_grant_is_validated_though_a_code_is_shown() -> None:
    offered = replace(holding(DYING, device=DEVICE), polled_at=NOW)
    assert planned(replace(offered, validated_at=None)) == Validate()
    assert planned(replace(offered, validated_at=NOW - 90)) == Validate()


def test_who_left_is_not_asked_to_come_back() -> None:
    step = planned(LEFT)
    assert isinstance(step, Rest)
    assert step.until is None
    assert step.blocked is not None
    assert step.blocked.reason == "AuthorizationRevoked"
    assert "revokeRequestedAt" in step.blocked.message
    assert COMMAND in step.blocked.message


def test_who_left_and_asks_for_a_code_gets_one_and_keeps_it_after_a_restart() -> None:
    assert planned(replace(LEFT, asked=True)) == StartDevice()
    shown = replace(holding(LEFT, device=DEVICE), polled_at=NOW)
    assert planned(shown, 5) == PollDevice()
    assert planned(replace(shown, asked=True), 5) == PollDevice()
    assert planned(replace(holding(shown, device=RUN_OUT), asked=True)) == StartDevice()


@pytest.mark.parametrize(
    "device", [RUN_OUT, replace(DEVICE, client_id="former"), replace(DEVICE, scopes=SCOPES[:1])]
)
def test_who_left_is_not_told_to_type_a_code_that_opens_nothing(device: Device) -> None:
    step = planned(holding(LEFT, device=device))
    assert isinstance(step, Rest)
    assert step.blocked is not None
    assert "ABCD-EFGH" not in step.blocked.message
    assert step.blocked.reason == "AuthorizationRevoked"


@pytest.mark.parametrize("device", [RUN_OUT, DEVICE])
def test_a_code_that_is_not_asked_about_is_no_remedy(device: Device) -> None:
    # It was offered for scopes that the spec does not ask for any more.
    assert COMMAND in remedy(holding(LOGIN_AT_REST, device=device), NOW)
