"""A message to the front ends of an extension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.durations import format_duration
from controller.errors import PermanentError
from controller.events import Ruling, Verdict
from controller.policies.envelope import envelope
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVERYWHERE", "Message"]

EVERYWHERE = "all"
"""Stands for the channel of a global message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A matched event that asks for a message.

    Attributes:
        id: Identity of the event over repeats and restarts.
        published: When the feed took it in.
        begins: When it happened, by its own clock, or when it was published.
        max_age: Seconds after that beyond which nothing is sent.
        extension: Name of the ExtensionApp.
        send: broadcast, global, or whisper-<opaque id>.
        type: Tells the front end what it is.
        data: What it carries.
        version: Of its form.
        dry_run: Decide and report, send nothing.
        same_as: A second identity: one with the same within `same_within` seconds is its twin.
        same_within: Seconds.
        past: A former process of the operator may have sent it, so it is not sent, only remembered.
    """

    id: str
    published: float
    begins: float
    max_age: float
    extension: str
    send: str
    type: str
    data: Mapping[str, Any]
    version: int
    dry_run: bool = False
    same_as: str | None = None
    same_within: float = 0.0
    past: bool = False

    @property
    def is_global(self) -> bool:
        """Whether it goes to all channels."""
        return self.send == "global"

    @property
    def written(self) -> str | Refusal:
        """The envelope, or why there is none."""
        try:
            return envelope(self.type, self.data, self.version)
        except PermanentError as error:
            return Refusal(str(error))

    def described(self, text: str) -> str:
        """Tell what is sent, without its content.

        Args:
            text: The envelope.
        """
        target = {"broadcast": "to the channel", "global": "to all channels"}
        to = target.get(self.send, "to one viewer")
        return f"{self.type} of {len(text.encode())} bytes {to}"

    def too_old(self, now: float) -> Ruling | None:
        """Whether nothing is to be sent any more."""
        age = max(0.0, now - self.begins)
        if age <= self.max_age:
            return None
        limit = format_duration(self.max_age)
        return Ruling(Verdict.EXPIRED, f"{age:.0f} s old, maxAge is {limit}")
