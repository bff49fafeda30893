"""Recorded events from the history of feeds, with the credentials that rules name."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.clients.kube import KubeNotFound
from controller.commands.cluster import run_in_cluster, told
from controller.commands.recorded import Recording, Unrecognised
from controller.errors import OperatorError
from controller.feeds.base import Span
from controller.feeds.registry import FEEDS, needed_secret, source_of
from controller.policies.problems import Blocked
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.clients.kube import Secret
    from controller.commands.cluster import Cluster
    from controller.feeds.base import Source
    from controller.resources.one_of import Chosen
    from controller.triggers.policies.simulation import SimulatedRule

__all__ = ["read_history"]


@dataclass
class _Heard:
    """What rules hear at one source; `feed` is that of the first of them."""

    feed: Chosen
    topics: set[str] = field(default_factory=set)


def read_history(
    rules: Sequence[SimulatedRule],
    begin: float,
    end: float,
    namespace: str | None,
    context: str | None,
) -> Recording:
    """Read what was published on the topics of rules.

    Args:
        rules: They name topics, and the Secrets with the credentials.
        begin: From when on, in seconds since the epoch.
        end: Until when.
        namespace: Of the Secrets; None: that of the context.
        context: Of the kubeconfig; None: the current one.

    Raises:
        OperatorError: A Secret or the history cannot be read; the message names the remedy.
    """
    settings = Settings.from_environment(os.environ)

    async def work(cluster: Cluster) -> Recording:
        recording = Recording()
        sources = await _sources(cluster, cluster.namespace(namespace), rules)
        for source, heard in sources.items():
            past = await FEEDS.of(heard.feed).read_past(
                heard.feed.spec,
                source.key,
                settings,
                Span(sorted(heard.topics), begin, end),
                _progress,
            )
            recording.events += past.events
            recording.malformed += [Unrecognised("", 0, reason) for reason in past.malformed]
        recording.events.sort(key=lambda event: event.published)
        return recording

    try:
        return run_in_cluster(context, work)
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


async def _sources(
    cluster: Cluster, namespace: str, rules: Sequence[SimulatedRule]
) -> dict[Source, _Heard]:
    """What the rules hear, by where they hear it."""
    secrets: dict[str, Secret | None] = {}
    found: dict[Source, _Heard] = {}
    for rule in rules:
        need = needed_secret(rule.spec.feed)
        if need is not None and need.name not in secrets:
            secrets[need.name] = await _secret(cluster, namespace, need.name)
        secret = secrets[need.name] if need is not None else None
        source = source_of(rule.spec.feed, secret, namespace)
        if isinstance(source, Blocked):
            raise OperatorError(source.message)
        found.setdefault(source, _Heard(rule.spec.feed)).topics.update(rule.topics)
    return found


async def _secret(cluster: Cluster, namespace: str, name: str) -> Secret | None:
    try:
        with told("secrets", namespace):
            return await cluster.kube.get_secret(namespace, name)
    except KubeNotFound:
        return None


def _progress(number: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{number} events read from the feed's history")
        sys.stderr.flush()
