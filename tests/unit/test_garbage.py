"""The collector of garbage is kept from what is there to stay."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from controller.runtime.gc_tuning import Garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_held_is_looked_at_no_more() -> None:
    garbage = Garbage()
    held: list[list[int]] = [[] for _ in range(10_000)]
    assert garbage.look()
    assert gc.get_freeze_count() > len(held)
    assert len(gc.get_objects()) < len(held)


def test_it_is_done_again_only_when_much_has_come() -> None:
    garbage = Garbage()
    assert garbage.look()
    assert not garbage.look()
    frozen = gc.get_freeze_count()
    held = [[number] for number in range(frozen + 1_000_000)]
    assert garbage.look()
    assert gc.get_freeze_count() > frozen + len(held) // 2


def test_garbage_is_not_frozen() -> None:
    class Cyclic:
        ended = 0

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            Cyclic.ended += 1

    Cyclic()
    assert Garbage().look()
    assert Cyclic.ended == 1
