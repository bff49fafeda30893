"""Conditions without their bookkeeping, and what sums them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Status", "with_summary"]


Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition without its bookkeeping.

    Attributes:
        type: Such as Ready.
        status: True, False or Unknown.
        reason: CamelCase.
        message: For the user; names the field and the remedy.
        human: Where it is not True: a human must change something.
    """

    type: str
    status: Status
    reason: str
    message: str
    human: bool = False


def with_summary(
    parts: tuple[Finding, ...],
    ready: Finding,
    suspended: bool,
    warning: Finding | None = None,
) -> tuple[Finding, ...]:
    """Add what sums up; a warning is what a human must change though all works for now."""
    wrong = ready.status != "True" and ready.reason not in _WISHED
    stalled = ready if wrong and ready.human else warning
    return (
        ready,
        *parts,
        _flag("Suspended", suspended, "Suspended" if suspended else "Active", ""),
        _flag("Reconciling", wrong and not ready.human, ready.reason, ready.message),
        _flag("Stalled", True, stalled.reason, stalled.message)
        if stalled is not None
        else _flag("Stalled", False, ready.reason, ""),
    )


def _flag(kind: str, on: bool, reason: str, message: str) -> Finding:
    return Finding(kind, "True", reason, message) if on else Finding(kind, "False", reason, "")


# What somebody wished is neither waited for nor to be mended.
_WISHED = ("Suspended", "Paused")
