"""How many Secrets are looked at in one tick."""

from __future__ import annotations

from controller.runtime.secret_cache import due_in_tick


def test_what_comes_due_together_is_spread_over_the_interval() -> None:
    due_at = dict.fromkeys(range(6000), 100.0)
    most = 0
    for now in range(100, 400):
        due = due_in_tick(((each, at, 60.0) for each, at in due_at.items()), now, 1.0)
        most = max(most, len(due))
        due_at |= dict.fromkeys(due, now + 54.0)
    assert most == 150
    # Nothing is forgotten meanwhile: each is looked at as often as is wanted.
    assert max(400 - at for at in due_at.values()) < 20


def test_the_longest_overdue_comes_first() -> None:
    waits = [("late", 2.0, 60.0), ("later", 1.0, 60.0), ("not yet", 11.0, 60.0)]
    assert due_in_tick(waits, 10.0, 1.0) == ["later"]


def test_what_is_missing_is_looked_for_more_often() -> None:
    waits = [(number, 0.0, 10.0) for number in range(100)]
    assert len(due_in_tick(waits, 10.0, 1.0)) == 15


def test_without_secrets_there_is_nothing_to_do() -> None:
    assert due_in_tick([], 10.0, 1.0) == []
