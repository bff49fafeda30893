"""A rule's spec, compiled: what it takes to look at an event, ready for use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from controller.errors import InvalidExpression
from controller.rules.expressions import compile_when
from controller.rules.fieldpath import FieldPath, compile_path
from controller.rules.identity import bounded, event_id, field_text
from controller.rules.matchers import MAX_PROGRAM, compile_regex, compile_test
from controller.rules.matching import first_failed
from controller.rules.payloads import Refusal
from controller.rules.selectors import label_text
from controller.rules.times import event_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.rules.expressions import CelView, Expression
    from controller.rules.matchers import Test

__all__ = ["MATCHED", "CompiledRule", "MatchResult", "compile_rule"]


class MatchResult(NamedTuple):
    """Whether an event matched a rule.

    Attributes:
        matched: All tests passed, and `when` is true.
        failed: Index in `spec.match` of the first test that did not pass; None: it was `when`.
        error: Why it could not be told, as a rule by a fault of `when`, or for its cost.
        lasting: `when` itself is to blame, such as one that gives a number.
    """

    matched: bool
    failed: int | None = None
    error: str | None = None
    lasting: bool = False


MATCHED: Final = MatchResult(matched=True)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule, compiled, but for its action.

    Attributes:
        tests: The matchers, in their order.
        when: The expression, if there is one.
        id_path: The field of the identity.
        time_path: The field of the time.
        cancels: Tests that an off cue passes; none: the rule knows no off cues.
        same: Fields of the second identity.
        labels: Label of a channel → the field whose value picks the channels.
    """

    tests: tuple[Test, ...]
    when: Expression | None
    id_path: FieldPath | None
    time_path: FieldPath | None
    cancels: tuple[Test, ...] = ()
    same: tuple[FieldPath, ...] = ()
    labels: tuple[tuple[str, FieldPath], ...] = ()

    def match(
        self, payload: Mapping[str, Any], view: Callable[[], CelView | Refusal]
    ) -> MatchResult:
        """Test an event: all matchers first, then `when`.

        Args:
            payload: The event.
            view: Gives the same event as CEL sees it; called only if `when` is reached. See
                `lazy_cel_view`.
        """
        failed = first_failed(self.tests, payload, "match")
        if isinstance(failed, Refusal):
            return MatchResult(matched=False, error=failed.reason)
        if failed is not None:
            return MatchResult(matched=False, failed=failed)
        if self.when is None:
            return MATCHED
        answer = self.when.evaluate(view())
        if isinstance(answer, Refusal):
            return MatchResult(matched=False, error=answer.reason, lasting=answer.lasting)
        return MATCHED if answer else MatchResult(matched=False)

    def explain(self, payload: Mapping[str, Any], result: MatchResult) -> str:
        """Tell in a sentence what a result of `match` means, for people."""
        if result.matched:
            return "the event matches"
        if result.failed is not None:
            return f"match[{result.failed}]: {self.tests[result.failed].explain(payload)}"
        return result.error or "when is false"

    def event_id(self, payload: Mapping[str, Any], feed_id: str) -> str:
        """Return the identity of an event; see `identity.event_id`."""
        return event_id(self.id_path, payload, feed_id)

    def event_time(self, payload: Mapping[str, Any], published: float) -> float | Refusal:
        """Return the time of an event in seconds since the epoch; see `times.event_time`."""
        return event_time(self.time_path, payload, published)

    def cancelled_by(self, payload: Mapping[str, Any]) -> bool | Refusal:
        """Whether an event is an off cue, or why that cannot be told."""
        if not self.cancels:
            return False
        failed = first_failed(self.cancels, payload, "cancelOn")
        return failed if isinstance(failed, Refusal) else failed is None

    def same_as(self, payload: Mapping[str, Any]) -> str | None:
        """Return the second identity of an event; None: there is none, or a field is absent."""
        told = [(str(path), field_text(path, payload)) for path in self.same]
        if not told or any(text is None for _, text in told):
            return None
        return bounded(", ".join(f"{path}={text}" for path, text in told))

    def wanted_labels(self, payload: Mapping[str, Any]) -> dict[str, str | None]:
        """Return label → value that an event wants of its channels; None: the field is absent."""
        return {label: label_text(path, payload) for label, path in self.labels}


def compile_rule(spec: TriggerRuleSpec) -> CompiledRule:
    """Compile a rule.

    Raises:
        InvalidExpression: Something cannot be used; it names the field, such as
            `spec.match[2].regex`.
    """
    _bound_regexes(spec)
    return CompiledRule(
        tests=tuple(
            compile_test(matcher, f"spec.match[{index}]")
            for index, matcher in enumerate(spec.match)
        ),
        when=None if spec.when is None else compile_when(spec.when),
        id_path=_path(spec.id_field, "spec.idField"),
        time_path=_path(spec.time_field, "spec.timeField"),
        cancels=tuple(
            compile_test(matcher, f"spec.cancelOn[{index}]")
            for index, matcher in enumerate(spec.cancel_on)
        ),
        same=tuple(
            compile_path(path, f"spec.dedupe.key[{index}]")
            for index, path in enumerate(spec.dedupe.key if spec.dedupe is not None else ())
        ),
        labels=tuple(
            (
                label.label,
                compile_path(label.field, f"spec.channelSelector.matchEvent[{index}].field"),
            )
            for index, label in enumerate(
                spec.channel_selector.match_event if spec.channel_selector is not None else ()
            )
        ),
    )


def _bound_regexes(spec: TriggerRuleSpec) -> None:
    """Refuse regexes that each are small enough, and together too large."""
    size = sum(
        compile_regex(matcher.regex, f"spec.{name}[{index}].regex").programsize
        for name, matchers in (("match", spec.match), ("cancelOn", spec.cancel_on))
        for index, matcher in enumerate(matchers)
        if matcher.regex is not None
    )
    if size > MAX_PROGRAM:
        problem = f"the regexes are too large together ({size} instructions, at most {MAX_PROGRAM})"
        raise InvalidExpression("spec.match", f"{problem}: repeat less, or use prefix and glob")


def _path(text: str | None, where: str) -> FieldPath | None:
    return compile_path(text, where) if text else None
