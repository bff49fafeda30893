"""What one kind tells the others: typed news, by whose type they subscribe."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Signals"]

S = TypeVar("S")


class Signals:
    """Passes each signal to all that subscribed to its type, at once and in their order."""

    def __init__(self) -> None:
        self._receivers: dict[type, list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, signal: type[S], receive: Callable[[S], None]) -> None:
        """Call `receive` with each signal of a type."""
        self._receivers[signal].append(receive)

    def send(self, signal: object) -> None:
        """Call all receivers of a signal."""
        for receive in self._receivers[type(signal)]:
            receive(signal)
