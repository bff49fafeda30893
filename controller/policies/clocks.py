"""Instants of the wall clock, which somebody may set back in between."""

__all__ = ["is_ahead"]

_NOISE = 60.0  # seconds: two clocks, or one that is corrected a little


def is_ahead(at: float, now: float) -> bool:
    """Whether something that was done lies in the future: the clock was set back since.

    How long ago it was done is not known then, and it is due again.
    """
    return at > now + _NOISE
