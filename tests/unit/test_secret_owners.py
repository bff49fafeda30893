"""Owners of a Secret that the API server may refuse."""

from __future__ import annotations

import time

from controller.policies.problems import owner_refused
from controller.runtime.owned_secrets import SecretOwners

REFUSED = owner_refused("spec.token.deletionPolicy", "tokens", "403")


def test_an_owner_that_is_as_wanted_needs_no_write_and_no_wake() -> None:
    owners = SecretOwners()
    assert owners.settled(("a",), ("a",))
    assert owners.next_try is None


def test_a_refused_owner_is_asked_for_again_in_a_minute_or_when_it_is_asked_for() -> None:
    owners = SecretOwners()
    assert not owners.settled((), ("a",))
    owners.wrote(("a",), REFUSED)
    assert owners.settled((), ("a",))
    assert owners.next_try is not None
    assert 0.0 < owners.next_try - time.time() <= 60.0
    owners.ask_again()
    assert not owners.settled((), ("a",))
    # Whoever looks next writes: a wake in the past would make them look without an end.
    assert owners.next_try is None
    assert owners.problem == REFUSED


def test_another_wish_is_not_refused_yet() -> None:
    owners = SecretOwners()
    owners.wrote(("a",), REFUSED)
    assert not owners.settled(("b",), ())


def test_an_owner_that_came_otherwise_ends_the_problem() -> None:
    owners = SecretOwners()
    owners.wrote(("a",), REFUSED)
    assert owners.settled(("a",), ("a",))
    assert owners.problem is None
