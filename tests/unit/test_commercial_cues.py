"""The action of a rule that starts commercials, compiled."""

from __future__ import annotations

from typing import Any

import pytest

from controller.actions.commercial.cues import CommercialCues
from controller.actions.commercial.lengths import break_length
from controller.errors import InvalidExpression
from controller.resources.triggerrule import TriggerRuleSpec

EVENT = {"data": {"duration_sec": 125.133}}


def compiled(commercial: dict[str, Any], **spec: object) -> CommercialCues:
    whole = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
        "match": [{"field": "a", "exists": True}],
        "action": {"commercial": commercial},
        **spec,
    }
    return CommercialCues.of(TriggerRuleSpec.from_spec(whole))


@pytest.mark.parametrize(
    ("commercial", "seconds"),
    [
        ({"lengthField": "data.duration_sec"}, 125.133),
        ({"lengthField": "data.absent", "defaultLength": "45s"}, 45),
        ({"length": "2m"}, 120),
    ],
)
def test_the_length_of_the_break_is_as_the_spec_says(
    commercial: dict[str, Any], seconds: float
) -> None:
    assert break_length(compiled(commercial).length, EVENT) == seconds


def test_a_path_that_cannot_be_read_names_its_field() -> None:
    with pytest.raises(InvalidExpression) as caught:
        compiled({"lengthField": "a b"})
    assert caught.value.field == "spec.action.commercial.lengthField"
    with pytest.raises(InvalidExpression) as caught:
        compiled({"length": "60s"}, asRun={"spot_id": "a b"})
    assert caught.value.field == "spec.asRun.spot_id"
