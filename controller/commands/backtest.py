"""`twitch-operator backtest`: what rules would have done with recorded events."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.actions.simulation import SimulatedChannel
from controller.commands.files import read_text
from controller.commands.manifests import choose, read_manifests
from controller.commands.recorded import DEFAULT_TIME_FIELD, listed, read_recording
from controller.commands.show.text import aligned, moment, to_json
from controller.commands.terminal import say
from controller.errors import InvalidExpression, OperatorError
from controller.events import Verdict
from controller.plurals import counted
from controller.resources.commercials import DEFAULT_POLICY
from controller.resources.common import InvalidSpec, rfc3339
from controller.resources.triggerrule import TRIGGER_RULE, TriggerRuleSpec
from controller.resources.twitchchannel import TWITCH_CHANNEL, TwitchChannelSpec
from controller.rules.fieldpath import FieldPath, FieldPathError
from controller.triggers.policies.simulation import SimulatedRule, Simulation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.actions.simulation import SimulatedOutcome
    from controller.commands.recorded import Recording

__all__ = ["Options", "backtest"]

_TELL_EVERY = 2000  # events between two steps of the progress bar
_BAR = 30


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        files: With the rules, and their channels.
        rule: Name of the one rule that counts; None: all.
        events: Files with events; `-` for the standard input.
        begin: From when on the feeds' history is read, in seconds since the epoch; None: it is not.
        end: Until when.
        namespace: Of the rules' Secrets; None: that of the context.
        context: Of the kubeconfig; None: the current one.
        time_field: Where messages tell their time; None: as the rules say, else the default.
        output: json, or table.
    """

    files: Sequence[str]
    rule: str | None
    events: Sequence[str]
    begin: float | None
    end: float | None
    namespace: str | None
    context: str | None
    time_field: str | None
    output: str


def backtest(options: Options) -> None:
    """Run rules over recorded events.

    Raises:
        OperatorError: A file cannot be used; the message names it and the remedy.
    """
    if "-" in options.files and "-" in options.events:
        msg = "the standard input can be a rule (-f -) or the events (-), not both"
        raise OperatorError(msg)
    manifests = read_manifests(options.files)
    rules = _rules(manifests, options.rule)
    channels = _channels(manifests, rules)
    recording = _recording(options, rules)
    simulation = Simulation(rules, channels)
    _run(simulation, recording)
    show = _for_programs if options.output == "json" else _for_people
    say(show(simulation, recording))


def _recording(options: Options, rules: Sequence[SimulatedRule]) -> Recording:
    if options.begin is not None:
        if options.events:
            msg = "give files of events, or --from for the feed's history, not both"
            raise OperatorError(msg)
        end = options.end if options.end is not None else time.time()
        if end <= options.begin:
            msg = f"--to ({rfc3339(end)}) must be after --from ({rfc3339(options.begin)})"
            raise OperatorError(msg)
        # It brings the clients of Kubernetes and of the feeds along, which take a second to load.
        from controller.commands.history import read_history  # noqa: PLC0415

        return read_history(rules, options.begin, end, options.namespace, options.context)
    if not options.events:
        msg = "give files of events, or --from for the feed's history"
        raise OperatorError(msg)
    time_field = _time_field(options.time_field, rules)
    return read_recording(
        ((file, read_text(file, lenient=True)) for file in options.events), time_field
    )


def _run(simulation: Simulation, recording: Recording) -> None:
    shows = sys.stderr.isatty() and len(recording.events) > _TELL_EVERY
    for number, event in enumerate(recording.events, start=1):
        simulation.take(event)
        if shows and number % _TELL_EVERY == 0:
            done = _BAR * number // len(recording.events)
            bar = f"[{'#' * done}{' ' * (_BAR - done)}] {number} of {len(recording.events)} events"
            sys.stderr.write(f"\r{bar}")
            sys.stderr.flush()
    simulation.finish()
    if shows:
        sys.stderr.write("\r\033[K")


def _rules(manifests: Iterable[dict[str, Any]], name: str | None) -> list[SimulatedRule]:
    found = [each for each in manifests if each.get("kind") == TRIGGER_RULE.name]
    if name is not None or not found:
        found = [choose(found, TRIGGER_RULE, name)]
    return [_rule(each) for each in found]


def _rule(manifest: Mapping[str, Any]) -> SimulatedRule:
    name = _name(manifest)
    try:
        spec = TriggerRuleSpec.from_spec(manifest.get("spec") or {})
        return SimulatedRule.of(name, spec)
    except (InvalidSpec, InvalidExpression) as error:
        msg = f"TriggerRule {name}: {error}"
        raise OperatorError(msg) from None


def _channels(
    manifests: Iterable[dict[str, Any]], rules: Sequence[SimulatedRule]
) -> list[SimulatedChannel]:
    given = [each for each in manifests if each.get("kind") == TWITCH_CHANNEL.name]
    channels = {_name(each): _channel(each) for each in given}
    for rule in rules:
        reference = rule.spec.channel_ref
        if reference is not None:
            channels.setdefault(
                reference.name, SimulatedChannel(reference.name, {}, DEFAULT_POLICY)
            )
        elif not given:
            msg = (
                f"TriggerRule {rule.name} picks its channels by label: give the TwitchChannels too,"
                " with a further -f"
            )
            raise OperatorError(msg)
    return list(channels.values())


def _channel(manifest: Mapping[str, Any]) -> SimulatedChannel:
    name = _name(manifest)
    try:
        spec = TwitchChannelSpec.from_spec(manifest.get("spec") or {})
    except InvalidSpec as error:
        msg = f"TwitchChannel {name}: {error}"
        raise OperatorError(msg) from None
    labels = manifest["metadata"].get("labels") or {}
    return SimulatedChannel(name, labels, spec.commercials)


def _name(manifest: Mapping[str, Any]) -> str:
    meta = manifest.get("metadata")
    return str(meta.get("name") or "") if isinstance(meta, dict) else ""


def _time_field(wanted: str | None, rules: Iterable[SimulatedRule]) -> FieldPath:
    named = wanted or next((r.spec.time_field for r in rules if r.spec.time_field), None)
    try:
        return FieldPath.parse(named or DEFAULT_TIME_FIELD)
    except FieldPathError as error:
        msg = f"--time-field: {error}"
        raise OperatorError(msg) from None


# What is shown


def _for_people(simulation: Simulation, recording: Recording) -> str:
    rows = [
        (
            moment(outcome.time),
            outcome.event_id,
            outcome.rule,
            outcome.channel or "-",
            outcome.verdict.value,
            outcome.detail,
        )
        for outcome in simulation.outcomes
    ]
    header = ("TIME", "EVENT", "RULE", "CHANNEL", "VERDICT", "REASON")
    parts = [aligned(header, rows)] if rows else []
    return "\n\n".join([*parts, "\n".join(_totals_for_people(simulation, recording))])


def _totals_for_people(simulation: Simulation, recording: Recording) -> list[str]:
    counts = _counts(simulation.outcomes)
    told = ", ".join(f"{verdict} {number}" for verdict, number in counts.items()) or "none"
    lines = [
        f"{counted(simulation.events, 'event')}, {simulation.matched} matched",
        f"Decisions: {told}",
        *(line for line, _ in simulation.totals() if line is not None),
    ]
    lines += [
        f"TriggerRule {rule} could not be evaluated for {counted(count, 'event')};"
        f" at last: {reason}"
        for rule, (count, reason) in sorted(simulation.failures.items())
    ]
    if recording.malformed:
        lines.append(f"Not events: {len(recording.malformed)}")
        lines += [f"  {told}" for told in listed(recording.malformed)]
    return lines


def _for_programs(simulation: Simulation, recording: Recording) -> str:
    return to_json(
        {
            "decisions": [_as_dict(outcome) for outcome in simulation.outcomes],
            "totals": {
                "events": simulation.events,
                "matched": simulation.matched,
                "malformed": len(recording.malformed),
                **{name: value for _, told in simulation.totals() for name, value in told.items()},
                "verdicts": _counts(simulation.outcomes),
            },
            "failures": [
                {"rule": rule, "events": count, "reason": reason}
                for rule, (count, reason) in sorted(simulation.failures.items())
            ],
            "malformed": [
                {"file": each.file or None, "line": each.line or None, "reason": each.reason}
                for each in recording.malformed
            ],
        }
    )


def _as_dict(outcome: SimulatedOutcome) -> dict[str, Any]:
    return {
        "time": rfc3339(outcome.time),
        "eventId": outcome.event_id,
        "topic": outcome.topic or None,
        "rule": outcome.rule,
        "channel": outcome.channel,
        "verdict": outcome.verdict.value,
        "reason": outcome.detail,
        "callTime": rfc3339(outcome.called) if outcome.called is not None else None,
        "askedSeconds": outcome.asked,
    }


def _counts(outcomes: Iterable[SimulatedOutcome]) -> dict[str, int]:
    counted = Counter(outcome.verdict for outcome in outcomes)
    return {verdict.value: counted[verdict] for verdict in Verdict if counted[verdict]}
