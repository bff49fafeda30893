"""How much of a feed is taken in a second: a flood on one key set must not starve the others."""

from __future__ import annotations

from controller.policies.buckets import Bucket

__all__ = ["BURST", "MESSAGES", "SIZE", "Pace"]

SIZE = 1024 * 1024
"""Bytes of answers a second that are taken of a key set in the long run."""

MESSAGES = 500
"""Messages a second that are taken of a key set in the long run."""

BURST = 10.0
"""Seconds of both that may come at once."""


class Pace:
    """Counts what a key set brought; `now` is monotonic, in seconds.

    Attributes:
        exceeded: The feed brought too much, and has not been quiet for `BURST` seconds since.
    """

    def __init__(self) -> None:
        self.exceeded = False
        self._bucket = Bucket(BURST, 1.0)  # of seconds

    def spend(self, size: int, messages: int, now: float) -> None:
        """Take note of an answer of so many bytes and messages."""
        self._bucket.spend(now, max(size / SIZE, messages / MESSAGES))
        self.exceeded = self.exceeded or self._bucket.wait(now, 0.0) > 0.0

    def wait(self, now: float) -> float:
        """Seconds until more may be asked for."""
        if not self._bucket.until_full(now):
            self.exceeded = False
        return self._bucket.wait(now, 0.0)
