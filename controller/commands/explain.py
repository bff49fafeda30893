"""`kubectl twitch explain`: why a rule did what it did, or would do, with an event."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.actions.base import KnownChannel
from controller.commands.cluster import Forbidden, run_in_cluster
from controller.commands.files import read_text
from controller.commands.manifests import choose, read_manifests
from controller.commands.recorded import read_events
from controller.commands.show.evaluation import evaluate
from controller.commands.show.explained import (
    Explained,
    evaluations_for_people,
    evaluations_for_programs,
    explained_for_people,
    explained_for_programs,
)
from controller.commands.show.text import to_json
from controller.commands.terminal import say
from controller.errors import OperatorError
from controller.resources.common import InvalidSpec, rfc3339
from controller.resources.kind import REQUESTED_AT
from controller.resources.triggerrule import TRIGGER_RULE, TriggerRuleSpec, TriggerRuleStatus
from controller.resources.twitchchannel import (
    TWITCH_CHANNEL,
    TwitchChannelSpec,
    TwitchChannelStatus,
)
from controller.triggers.policies.simulation import SimulatedRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.commands.cluster import Cluster

__all__ = ["Options", "explain"]

_PATIENCE = 5.0  # seconds for the operator to tell the nearest miss


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        name: Of the TriggerRule; None: the one in the files.
        namespace: None: that of the context.
        context: Of the kubeconfig; None: the current one.
        files: With the rule, and its channels, in place of a cluster.
        event: File with events, `-` for the standard input; None: what happened is explained.
        output: json, or table.
    """

    name: str | None
    namespace: str | None
    context: str | None
    files: Sequence[str]
    event: str | None
    output: str


def explain(options: Options) -> None:
    """Explain a rule.

    Raises:
        OperatorError: There is nothing that could be explained; the message names the remedy.
    """
    if options.files:
        say(_explain_files(options))
        return
    if options.name is None:
        msg = "name a TriggerRule of the cluster, or give a file that holds one: -f rule.yaml"
        raise OperatorError(msg)
    name = options.name

    async def work(cluster: Cluster) -> str:
        namespace = cluster.namespace(options.namespace)
        if options.event is None:
            return await _explain_decisions(cluster, namespace, name, options)
        return await _explain_event(cluster, namespace, name, options)

    say(run_in_cluster(options.context, work))


def _explain_files(options: Options) -> str:
    if options.event is None:
        msg = "-f is to hold events against a rule: give one with --event FILE"
        raise OperatorError(msg)
    if options.event == "-" and "-" in options.files:
        msg = "the standard input can be the rule (-f -) or the event (--event -), not both"
        raise OperatorError(msg)
    manifests = read_manifests(options.files)
    rule = choose(manifests, TRIGGER_RULE, options.name)
    channels = [each for each in manifests if each.get("kind") == TWITCH_CHANNEL.name]
    return _evaluated(rule, channels, options)


async def _explain_event(cluster: Cluster, namespace: str, name: str, options: Options) -> str:
    rule = await cluster.get(TRIGGER_RULE, namespace, name)
    reference = rule["spec"].get("channelRef")
    channels, notes = [], []
    try:
        if reference is None:
            channels = await cluster.list_all(TWITCH_CHANNEL, namespace)
        else:
            channels = [await cluster.get(TWITCH_CHANNEL, namespace, reference["name"])]
    except OperatorError as error:
        notes = [str(error)]
    return _evaluated(rule, channels, options, notes)


def _evaluated(
    manifest: Mapping[str, Any],
    channels: Iterable[Mapping[str, Any]],
    options: Options,
    notes: Iterable[str] = (),
) -> str:
    name = _name(manifest) or "the rule"
    rule = SimulatedRule.of(name, TriggerRuleSpec.from_spec(manifest.get("spec") or {}))
    told, known = list(notes), []
    for each in channels:
        try:
            known.append(_channel(each))
        except InvalidSpec as error:
            told.append(f"channel {_name(each)}: {error}")
    file = options.event or "-"
    events = read_events(file, read_text(file, lenient=True))
    now = time.time()
    evaluations = [evaluate(rule, event, known, now) for event in events]
    if options.output == "json":
        return to_json(evaluations_for_programs(name, evaluations, told))
    return "\n\n".join([evaluations_for_people(name, evaluations), *told])


def _channel(manifest: Mapping[str, Any]) -> KnownChannel:
    meta = manifest.get("metadata") or {}
    return KnownChannel(
        name=_name(manifest),
        labels=meta.get("labels") or {},
        spec=TwitchChannelSpec.from_spec(manifest.get("spec") or {}),
        status=TwitchChannelStatus.from_status(manifest.get("status") or {}),
    )


def _name(manifest: Mapping[str, Any]) -> str:
    return str((manifest.get("metadata") or {}).get("name") or "")


async def _explain_decisions(cluster: Cluster, namespace: str, name: str, options: Options) -> str:
    rule = await cluster.get(TRIGGER_RULE, namespace, name)
    status, notes = await _asked(cluster, namespace, name)
    try:
        spec = TriggerRuleSpec.from_spec(rule["spec"])
    except InvalidSpec as error:
        spec, notes = None, [*notes, str(error)]
    channel = None
    if spec is not None and spec.channel_ref is not None:
        try:
            found = await cluster.get(TWITCH_CHANNEL, namespace, spec.channel_ref.name)
            channel = TwitchChannelStatus.from_status(found.get("status") or {})
        except OperatorError as error:
            notes = [*notes, str(error)]
    told = Explained(namespace, name, spec, status, channel, notes)
    return (
        to_json(explained_for_programs(told))
        if options.output == "json"
        else explained_for_people(told)
    )


async def _asked(
    cluster: Cluster, namespace: str, name: str
) -> tuple[TriggerRuleStatus, list[str]]:
    """The status, after the operator was asked to bring it up to date; and what kept it from it."""

    async def read() -> TriggerRuleStatus:
        found = await cluster.get(TRIGGER_RULE, namespace, name)
        return TriggerRuleStatus.from_status(found.get("status") or {})

    value = rfc3339(time.time())
    try:
        await cluster.annotate(TRIGGER_RULE, namespace, name, {REQUESTED_AT: value})
    except Forbidden as error:
        return await read(), [f"This is the last known nearest miss: {error}."]
    status, answered = await cluster.until(
        read, lambda found: found.last_handled_reconcile_at == value, _PATIENCE
    )
    if answered:
        return status, []
    silent = (
        f"The operator did not answer within {_PATIENCE:.0f} s: this is the last known state. See"
        f" that twitch-operator runs, and watches namespace {namespace}."
    )
    return status, [silent]
