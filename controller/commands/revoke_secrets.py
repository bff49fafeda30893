"""`kubectl twitch revoke-secrets`: takes all secrets of an extension out of service, at a price."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from controller.commands.cluster import no_operator, run_in_cluster
from controller.commands.terminal import say
from controller.durations import format_duration
from controller.errors import OperatorError
from controller.resources.common import find_condition, rfc3339
from controller.resources.extensionapp import EXTENSION_APP, ExtensionAppStatus
from controller.resources.kind import REVOKE_REQUESTED_AT

if TYPE_CHECKING:
    from controller.commands.cluster import Cluster

__all__ = ["revoke_secrets"]


def revoke_secrets(name: str, namespace: str | None, context: str | None, timeout: float) -> None:
    """Have all shared secrets of an extension taken out of service.

    Args:
        name: Of the ExtensionApp.
        namespace: None: that of the context.
        context: Of the kubeconfig; None: the current one.
        timeout: Seconds to wait for the operator.

    Raises:
        OperatorError: They are not, as far as is known; the message names the remedy.
    """

    async def work(cluster: Cluster) -> str:
        return await _revoke(cluster, name, cluster.namespace(namespace), timeout)

    say(run_in_cluster(context, work))


async def _revoke(cluster: Cluster, name: str, namespace: str, patience: float) -> str:
    async def read() -> ExtensionAppStatus:
        found = await cluster.get(EXTENSION_APP, namespace, name)
        return ExtensionAppStatus.from_status(found.get("status") or {})

    await read()  # a name that was mistyped is told with those that there are
    value = rfc3339(time.time())
    await cluster.annotate(EXTENSION_APP, namespace, name, {REVOKE_REQUESTED_AT: value})
    say(f"Asked for; waiting for the operator to make a new secret, in namespace {namespace}.")
    status, done = await cluster.until(
        read, lambda found: found.last_handled_revoke_at == value, patience
    )
    if not done:
        raise OperatorError(_silence(status, namespace, patience))
    return f"extensionapp/{name}: all former secrets are revoked.\n{_price(status)}"


def _price(status: ExtensionAppStatus) -> str:
    until = status.helper_tokens_refused_until
    what = (
        "Until the new secret is active the gateway answers the JWTs of Twitch's extension helper"
        " with 403"
    )
    when = f": until {rfc3339(math.ceil(until))}." if until is not None else "."
    return (
        f"{what}{when}\n"
        "Twitch itself takes a revoked secret until it expires, within one hour. To delete it\n"
        "at once, use the extension's console: dev.twitch.tv/console, Extensions, Settings."
    )


def _silence(status: ExtensionAppStatus, namespace: str, patience: float) -> str:
    within = format_duration(patience)
    wrong = find_condition(status.conditions, "Ready")
    if wrong is None or wrong.status == "True":
        return f"{no_operator(namespace, within)}. A running gateway refuses the secrets already"
    return (
        f"not done within {within}: {wrong.reason}: {wrong.message}. A running gateway refuses the"
        " secrets already"
    )
