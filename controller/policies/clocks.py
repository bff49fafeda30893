"""Instants of the wall clock, which somebody may set back in between."""

__all__ = ["WallClock", "is_ahead"]

_NOISE = 60.0  # seconds: two clocks, or one that is corrected a little


def is_ahead(at: float, now: float) -> bool:
    """Whether something that was done lies in the future: the clock was set back since.

    How long ago it was done is not known then, and it is due again.
    """
    return at > now + _NOISE


class WallClock:
    """Finds out that the wall clock was set back, by the monotonic clock beside it.

    Args:
        wall: Seconds since the epoch.
        monotonic: Seconds of the monotonic clock, at the same instant.
    """

    def __init__(self, wall: float, monotonic: float) -> None:
        self._offset = wall - monotonic

    def set_back(self, wall: float, monotonic: float) -> float:
        """Seconds by which it was set back since it was asked last; 0: it was not."""
        before, offset = self._offset, wall - monotonic
        if offset < before and not is_ahead(before, offset):
            return 0.0  # what many small corrections come to is told once it is much
        self._offset = offset
        return max(0.0, before - offset)
