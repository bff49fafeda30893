"""How often an operator is killed, and by which choices.

Environment:
    TWITCH_OPERATOR_TEST_KILLS: How often; default: as little as has each moment once.
    TWITCH_OPERATOR_TEST_SEED: Repeats the choices of a run that told its seed; default: always the
        same for the default number of kills, and others each time for more.
"""

from __future__ import annotations

import os
import random

__all__ = ["chosen"]

_SEED = 480


def chosen(default: int) -> tuple[int, int]:
    """How many kills, and the seed."""
    kills = int(os.environ.get("TWITCH_OPERATOR_TEST_KILLS") or default)
    seed = os.environ.get("TWITCH_OPERATOR_TEST_SEED")
    if seed is None and kills != default:
        return kills, random.SystemRandom().randrange(10**6)
    return kills, int(seed or _SEED)
