"""Which messages of a topic could not be decrypted, among its last ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.feeds.base import FeedHealth
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LAST", "Tally", "Undecrypted"]

LAST = 20
"""Messages of a topic that are looked at."""


@dataclass(frozen=True, slots=True)
class Undecrypted(Refusal):
    """Why a message could not be decrypted."""


class Tally:
    """Counts by topic; what a former key set did not decrypt is another tally's matter."""

    def __init__(self) -> None:
        self._last: dict[str, deque[Undecrypted | None]] = {}

    def note(self, topic: str, failure: Undecrypted | None) -> bool:
        """Take note of a message.

        Args:
            topic: Its topic.
            failure: Why it could not be decrypted; None: it could, or is not encrypted by design.

        Returns:
            Whether none, some or all of the topic's last messages failed, and that changed.
        """
        last = self._last.get(topic)
        if last is None:
            if failure is None:
                return False
            last = self._last[topic] = deque(maxlen=LAST)
        before = _degree(last)
        last.append(failure)
        after = _degree(last)
        if not after:
            del self._last[topic]
        return before != after

    def forget(self, topic: str) -> None:
        """A topic is not listened to any more."""
        self._last.pop(topic, None)

    def health_of(self, topics: Iterable[str]) -> FeedHealth | None:
        """What the worst of some topics tells; None: nothing failed on any of them."""
        found = [(topic, self._last[topic]) for topic in topics if topic in self._last]
        if not found:
            return None
        topic, last = max(found, key=lambda each: _degree(each[1]))
        failures = [each for each in last if each is not None]
        why = failures[-1].reason
        if len(failures) < len(last):
            told = f"connected; {len(failures)} of the last {len(last)} messages on topic {topic}"
            return FeedHealth(True, "DecryptionFailed", f"{told} could not be decrypted ({why})")
        told = f"none of the last {len(last)} messages on topic {topic} could be decrypted ({why})"
        if len(last) == 1:
            told = f"the last message on topic {topic} could not be decrypted ({why})"
        return FeedHealth(False, "DecryptionFailed", told)


def _degree(last: deque[Undecrypted | None]) -> int:
    """0: none failed; 1: some; 2: all."""
    failed = sum(each is not None for each in last)
    return 0 if not failed else 1 if failed < len(last) else 2
