"""The judgement of the test that kills the operator finds what it is to find."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cluster.break_judgement import Outcome, complaints

GOOD = Outcome(
    "a-channel", due=100.0, max_age=30.0, call=2.0, starts=[101.0], verdicts=["Confirmed"]
)


def test_one_start_in_time_is_right() -> None:
    assert complaints(GOOD) == []
    assert GOOD.is_settled


def test_a_start_that_no_decision_tells_of_yet_is_right_and_not_settled() -> None:
    assert complaints(replace(GOOD, verdicts=["Waiting"])) == []
    assert not replace(GOOD, verdicts=["Waiting", "SameBreak"]).is_settled


def test_no_start_with_a_decision_that_says_why_is_right() -> None:
    assert complaints(replace(GOOD, starts=[], verdicts=["SameBreak", "Expired"])) == []


@pytest.mark.parametrize(
    ("starts", "verdicts", "complaint"),
    [
        ([101.0, 103.0], ["Confirmed"], "started 2 times"),
        ([], [], "lost: no start, and only [] said of it"),
        ([], ["SameBreak"], "lost: no start, and only ['SameBreak'] said of it"),
        ([], ["Expired", "Fired"], "said to have started, and did not"),
        ([132.5], ["Fired"], "started 32.5 s after it was due"),
        ([99.0], ["Fired"], "started 1.0 s before it was due"),
    ],
)
def test_what_is_wrong_is_told(starts: list[float], verdicts: list[str], complaint: str) -> None:
    wrong = replace(GOOD, starts=starts, verdicts=verdicts)
    assert complaints(wrong) == [f"a-channel: {complaint}"]
