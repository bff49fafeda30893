"""Recorded events from PubNub's history, with the keys that rules name."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from controller.clients.kube import KubeNotFound
from controller.commands.cluster import run_in_cluster, told
from controller.commands.recorded import Recording, Unrecognised
from controller.errors import OperatorError, TransientError
from controller.feeds.pubnub import keys as pubnub_keys
from controller.feeds.pubnub.past import read_past
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.clients.kube import Secret
    from controller.commands.cluster import Cluster
    from controller.triggers.policies.simulation import SimulatedRule

__all__ = ["read_history"]


def read_history(
    rules: Sequence[SimulatedRule],
    begin: float,
    end: float,
    namespace: str | None,
    context: str | None,
) -> Recording:
    """Read what was published on the topics of rules.

    Args:
        rules: They name topics, and the Secret with the keys.
        begin: From when on, in seconds since the epoch.
        end: Until when.
        namespace: Of the Secrets; None: that of the context.
        context: Of the kubeconfig; None: the current one.

    Raises:
        OperatorError: A Secret or the history cannot be read; the message names the remedy.
    """
    settings = Settings.from_environment(os.environ)
    topics: dict[str, set[str]] = {}
    for rule in rules:
        feed = rule.spec.pubnub
        topics.setdefault(feed.secret_ref.name, set()).update(feed.topics)

    async def work(cluster: Cluster) -> Recording:
        recording = Recording()
        for name, named in topics.items():
            place = cluster.namespace(namespace)
            secret = await _secret(cluster, place, name)
            keys, blocked = pubnub_keys.read(secret, name, place)
            if keys is None:
                raise OperatorError(blocked.message if blocked is not None else name)
            try:
                events, refused = await read_past(
                    keys, settings, sorted(named), begin, end, _progress
                )
            except TransientError as error:
                msg = (
                    f"PubNub's history could not be read: {error}. It needs Message Persistence for"
                    f" the key set of Secret {name}, and the right to read it"
                )
                raise OperatorError(msg) from None
            recording.events += events
            recording.malformed += [Unrecognised("", 0, reason) for reason in refused]
        recording.events.sort(key=lambda event: event.published)
        return recording

    try:
        return run_in_cluster(context, work)
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


async def _secret(cluster: Cluster, namespace: str, name: str) -> Secret | None:
    try:
        with told("secrets", namespace):
            return await cluster.kube.get_secret(namespace, name)
    except KubeNotFound:
        return None


def _progress(number: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{number} events read from PubNub's history")
        sys.stderr.flush()
