"""What the Secret of a stream key needs next: facts → plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.channels.policies.stream_keys import Plan, Read, StreamKeyFacts, Write, plan
from controller.policies.rest import Rest

NOW = 1_700_000_000.0
HOUR = 3600.0
AT_REST = StreamKeyFacts(
    name="encoder",
    command="kubectl twitch authorize -n tv mst3k",
    foreign=False,
    granted=True,
    allowed=True,
    read_at=NOW,
    stored=True,
    jitter=0.0,
)
NOTHING = replace(AT_REST, read_at=None, stored=False)


def planned(facts: StreamKeyFacts, after: float = 0.0) -> Plan:
    return plan(facts, NOW + after, HOUR)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (NOTHING, Read()),
        (replace(AT_REST, stored=False), Write()),
        (replace(AT_REST, stored=False, granted=False), Write()),
        (replace(AT_REST, stored=False, allowed=False), Write()),
        (AT_REST, Rest(NOW + HOUR)),
        (replace(AT_REST, jitter=1.0), Rest(NOW + 0.9 * HOUR)),
        (replace(AT_REST, granted=False), Rest(None)),
        (replace(AT_REST, granted=False, allowed=False), Rest(None)),
    ],
)
def test_each_state_has_its_next_step(facts: StreamKeyFacts, step: Plan) -> None:
    assert planned(facts) == step


def test_the_key_is_read_again_when_the_interval_is_over() -> None:
    assert planned(AT_REST, HOUR - 1) == Rest(NOW + HOUR)
    assert planned(AT_REST, HOUR) == Read()
    # Twitch may be away: what is in hand comes first.
    assert planned(replace(AT_REST, stored=False), HOUR) == Write()


def test_the_key_is_read_when_the_clock_was_set_back() -> None:
    assert planned(AT_REST, -HOUR) == Read()


@pytest.mark.parametrize(
    ("facts", "reason", "human", "told"),
    [
        (replace(NOTHING, foreign=True), "Conflict", True, "Secret encoder exists and was"),
        (replace(NOTHING, foreign=True, granted=False), "Conflict", True, "set spec.streamKey"),
        (replace(AT_REST, foreign=True, stored=False), "Conflict", True, "it is not touched"),
        (replace(NOTHING, granted=False), "AuthorizationPending", False, "once the channel is"),
        (
            replace(NOTHING, granted=False, allowed=False),
            "AuthorizationPending", False, "spec.streamKeySecretName: ",
        ),
        (
            replace(NOTHING, allowed=False),
            "ScopeMissing", True,
            (
                "spec.streamKeySecretName needs the scope channel:read:stream_key, which the grant"
                " lacks: let the broadcaster consent again: kubectl twitch authorize -n tv mst3k"
            ),
        ),
        (replace(AT_REST, allowed=False), "ScopeMissing", True, "channel:read:stream_key"),
    ],
)  # fmt: skip
def test_what_keeps_the_key_from_its_secret_names_the_remedy(
    facts: StreamKeyFacts, reason: str, human: bool, told: str
) -> None:
    step = planned(facts, 2 * HOUR)
    assert isinstance(step, Rest)
    assert step.until is None  # the grant or the Secret must change
    assert step.blocked is not None
    assert (step.blocked.reason, step.blocked.human) == (reason, human)
    assert told in step.blocked.message
