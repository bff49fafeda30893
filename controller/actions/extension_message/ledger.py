"""What was sent already, by this process or the one before: a message goes out at most once."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from controller.events import Ruling, Verdict

if TYPE_CHECKING:
    from collections.abc import Hashable

    from controller.actions.base import DoneBefore
    from controller.actions.extension_message.message import Message

__all__ = ["REPEATS", "Ledger"]

K = TypeVar("K", bound="Hashable")

REPEATS = 1800.0
"""Seconds within which an identity is the same one again; they may come anew on another day."""

# A channel gets a hundred at once and one a second of an extension: in that time no more than this.
_MOST = 2000


@dataclass(frozen=True, slots=True)
class _Sent:
    """One message that went out, or may have."""

    id: str
    published: float
    begins: float
    same_as: str | None
    at: float


class _Line:
    """What was sent for one rule on one channel."""

    __slots__ = ("by_id", "sent")

    def __init__(self) -> None:
        self.sent: deque[_Sent] = deque()
        self.by_id: dict[str, _Sent] = {}

    def drop_oldest(self) -> None:
        oldest = self.sent.popleft()
        if self.by_id.get(oldest.id) is oldest:
            del self.by_id[oldest.id]


class Ledger(Generic[K]):
    """Remembers for half an hour what was sent, for each rule and channel."""

    def __init__(self) -> None:
        self._lines: OrderedDict[K, _Line] = OrderedDict()

    def repeats(self, key: K, message: Message) -> Ruling | None:
        """Whether a message was sent before.

        Args:
            key: Of the rule and the channel.
            message: The message.
        """
        line = self._lines.get(key)
        if line is None:
            return None
        same = line.by_id.get(message.id)
        if same is not None and abs(message.published - same.published) <= REPEATS:
            return Ruling(
                Verdict.DUPLICATE,
                "the event came before: its message is on its way, went out, or may have",
            )
        if message.same_as is None:
            return None
        for other in line.sent:
            apart = abs(message.begins - other.begins)
            if other.same_as == message.same_as and apart <= message.same_within:
                told = f"event {other.id} announced the same {apart:.1f} s apart"
                return Ruling(Verdict.DUPLICATE, f"{told} ({message.same_as})")
        return None

    def note(self, key: K, message: Message, now: float) -> None:
        """Take note that a message goes out now."""
        sent = _Sent(message.id, message.published, message.begins, message.same_as, now)
        self._add(key, sent, now)

    def recall(self, key: K, before: DoneBefore, now: float) -> None:
        """Take note of what a former process sent; it counts for half an hour from now."""
        # When it was published is not told, but it was not sent long after.
        self._add(key, _Sent(before.id, before.begins, before.begins, before.same_as, now), now)

    def _add(self, key: K, sent: _Sent, now: float) -> None:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        self._lines.move_to_end(key)
        line.sent.append(sent)
        line.by_id[sent.id] = sent
        while len(line.sent) > _MOST or line.sent[0].at < now - REPEATS:
            line.drop_oldest()
        self._forget(now)

    def undo(self, key: K, message: Message) -> None:
        """A message did not go out after all: one that repeats it may."""
        line = self._lines.get(key)
        sent = line.by_id.pop(message.id, None) if line is not None else None
        if line is not None and sent is not None:
            line.sent.remove(sent)
            if not line.sent:
                del self._lines[key]

    def __len__(self) -> int:
        return len(self._lines)

    def _forget(self, now: float) -> None:
        """Drop the lines on which nothing was sent for half an hour."""
        while self._lines:
            key, line = next(iter(self._lines.items()))
            if line.sent[-1].at >= now - REPEATS:
                return
            del self._lines[key]
