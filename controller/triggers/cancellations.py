"""Takes back what a rule asked of channels, once the rule does not want it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.events import Ruling, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.actions.base import Performer
    from controller.channels.channel import Channel
    from controller.runtime.resource import Key
    from controller.triggers.rule import Rule
    from controller.triggers.targets import Targets

__all__ = ["Withdrawals"]

_GONE = Ruling(Verdict.SUSPENDED, "the rule was deleted while the cue waited")
_SUSPENDED = Ruling(Verdict.SUSPENDED, "the rule was suspended while the cue waited")
_ELSEWHERE = Ruling(Verdict.SUSPENDED, "the rule was pointed elsewhere while the cue waited")
_REHEARSES = Ruling(Verdict.SUSPENDED, "the rule became a DryRun while the cue waited")


class Withdrawals:
    """Withdraws what waits.

    Args:
        performers: Do what rules ask for.
        targets: Which of them a rule is for.
    """

    def __init__(self, performers: Iterable[Performer[Any]], targets: Targets) -> None:
        self._performers = performers
        self._targets = targets

    def rule_changed(self, rule: Rule) -> None:
        """What a rule would not start any more is not called for."""
        if rule.suspended or rule.dry_run:
            self._withdraw(rule.resource.key, _SUSPENDED if rule.suspended else _REHEARSES)
        else:
            self._withdraw(rule.resource.key, _ELSEWHERE, but=self._targets.of(rule))

    def rule_removed(self, key: Key) -> None:
        """Nothing of a rule that is gone is called for."""
        self._withdraw(key, _GONE)

    def _withdraw(self, rule: Key, why: Ruling, but: Iterable[Channel] = ()) -> None:
        for performer in self._performers:
            performer.withdraw(rule, why, but)
