"""The loop facts → plan → step → facts."""

from __future__ import annotations

import pytest

from controller.policies.rest import Rest
from controller.runtime.plan_loop import Unsettled, settle


class Tower:
    """Grows by a floor with each step."""

    def __init__(self) -> None:
        self.floors = 0

    async def look(self) -> int:
        return self.floors

    async def build(self, wanted: int, seen: int) -> None:
        assert (seen, wanted) == (self.floors, self.floors + 1)
        self.floors = wanted


async def test_the_facts_are_gathered_again_after_each_step() -> None:
    tower = Tower()
    rest, floors = await settle(
        tower.look,
        lambda seen, _: seen + 1 if seen < 3 else Rest(9.0),
        tower.build,
        unsettled="never done",
    )
    assert (rest, floors) == (Rest(9.0), 3)


@pytest.mark.parametrize(("bounds", "floors"), [({"most": 4}, 4), ({"within": 0.0}, 0)])
async def test_what_does_not_come_to_rest_is_given_up_for_now(
    bounds: dict[str, int], floors: int
) -> None:
    tower = Tower()
    with pytest.raises(Unsettled, match="never done"):
        await settle(
            tower.look, lambda seen, _: seen + 1, tower.build, unsettled="never done", **bounds
        )
    assert tower.floors == floors
