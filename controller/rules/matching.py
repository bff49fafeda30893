"""The matchers of a rule against an event, within one budget.

A glob or a regex takes time by its size and by the length of the text; what the pattern may take is
known beforehand, so the matchers of `match`, and those of `cancelOn`, are stopped before they take
longer than their budget together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.rules.matchers import Test

__all__ = ["BUDGET", "first_failed", "passed"]

BUDGET: Final = 10e6
"""Nanoseconds of CPU that all matchers of `match`, or of `cancelOn`, may take for one event."""


def first_failed(
    tests: Sequence[Test], payload: Mapping[str, Any], name: str
) -> int | Refusal | None:
    """Find the first test that an event does not pass.

    Args:
        tests: The tests.
        payload: The event.
        name: What the reason calls them: match or cancelOn.

    Returns:
        Its index; None: it passes all. A refusal where they could take too long.
    """
    spent = 0.0
    for index, test in enumerate(tests):
        value = test.value(payload)
        spent += test.price(value)
        if spent > BUDGET:
            unit = "elements" if isinstance(value, list) else "characters"
            return Refusal(
                f"{name}[{index}] is too costly for this event: the globs and regexes up to it"
                f" may take {spent / 1e6:.0f} ms, and {BUDGET / 1e6:.0f} ms are allowed;"
                f" {test.path} has {len(value)} {unit}: make them smaller, or use equals,"
                " prefix and suffix"
            )
        if not test.holds(value):
            return index
    return None


def passed(tests: Sequence[Test], payload: Mapping[str, Any]) -> int:
    """Count the tests that an event passes; beyond the budget, none does."""
    count, spent = 0, 0.0
    for test in tests:
        value = test.value(payload)
        spent += test.price(value)
        count += spent <= BUDGET and test.holds(value)
    return count
