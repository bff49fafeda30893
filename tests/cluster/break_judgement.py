"""Whether what became of a break is right: a pure judgement over what Twitch and the rule tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Outcome", "complaints"]

_TELLS_WHY_NOT = frozenset(
    {
        "CoolingDown", "Expired", "Failed", "Unknown", "ChannelNotReady", "NotLive", "NotEligible",
        "TooShort", "QuietHours", "BudgetSpent", "Cancelled", "Paused", "Suspended",
    }
)  # fmt: skip
_CLAIMS_A_START = frozenset({"Fired", "Confirmed", "Unconfirmed"})
_EARLY = 0.1  # seconds by which two clocks of one machine may differ in their rounding


@dataclass(frozen=True)
class Outcome:
    """What became of a break.

    Attributes:
        name: Of its channel.
        due: When it began, the channel's delay included.
        max_age: Seconds after that, until which it may be called for.
        call: Seconds that a call may be under way.
        starts: When commercials began for it at Twitch.
        verdicts: What its rules decided, in any order.
        refused: Twitch was ordered to refuse, so that no start is as good as one.
    """

    name: str
    due: float
    max_age: float
    call: float
    starts: Sequence[float]
    verdicts: Sequence[str]
    refused: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will come."""
        return bool(_CLAIMS_A_START & set(self.verdicts) or self.tells_why_not)

    @property
    def tells_why_not(self) -> bool:
        """Whether a decision says why nothing started."""
        return bool(_TELLS_WHY_NOT & set(self.verdicts))


def complaints(it: Outcome) -> list[str]:
    """What is wrong with it; empty: nothing."""
    found = []
    if len(it.starts) > 1:
        found.append(f"started {len(it.starts)} times")
    if not it.starts and not it.tells_why_not:
        found.append(f"lost: no start, and only {sorted(set(it.verdicts))} said of it")
    if not it.starts and _CLAIMS_A_START & set(it.verdicts):
        found.append("said to have started, and did not")
    late = [at - it.due for at in it.starts if at > it.due + it.max_age + it.call]
    found += [f"started {seconds:.1f} s after it was due" for seconds in late]
    early = [it.due - at for at in it.starts if at < it.due - _EARLY]
    found += [f"started {seconds:.1f} s before it was due" for seconds in early]
    return [f"{it.name}: {each}" for each in found]
