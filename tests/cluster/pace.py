"""Bounds in seconds, where time is what is promised."""

from __future__ import annotations

import time

__all__ = ["stretched"]

_SAMPLE = 0.05  # seconds of CPU


def stretched(seconds: float) -> float:
    """Seconds on an idle machine → seconds on this one, by how much of a CPU one gets here now."""
    began, before = time.perf_counter(), time.thread_time()
    while (used := time.thread_time() - before) < _SAMPLE:
        pass
    return seconds * max(1.0, (time.perf_counter() - began) / used)
