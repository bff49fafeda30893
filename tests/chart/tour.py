"""Everything that the operator does, once, for the rights that it takes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.cluster.kubectl import conditions
from tests.cluster.manifests import message, secret

if TYPE_CHECKING:
    from tests.cluster.operator_harness import Site, Station

__all__ = ["tour"]

_GROUP = "twitch-operator.dev"


async def tour(site: Site, name: str) -> None:
    """Use each feature.

    Args:
        site: Where an operator runs.
        name: Begins the names of all that is made.
    """
    station = await site.add_station(name)
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    await asyncio.gather(
        _grant(site, station),
        _device_code(site, f"{name}-device"),
        _stream_key(site, f"{name}-encoder"),
        _extension(site, f"{name}-extension"),
    )


async def _grant(site: Site, station: Station) -> None:
    """Two lost grants, another channel of the same broadcaster, and the end of the grant."""
    for count in (1, 2):  # the second Event of a kind is the first one, counted
        site.twitch.change_password(station.login)
        await _request(site, station.name, f"requestedAt=password-{count}")
        await station.until_reason("AuthorizationRevoked")
        await station.consent()
        await site.kubectl.ready(f"tch/{station.name}")
    other = station.renamed(f"{station.name}-too")
    await site.kubectl.apply(other.grant(), other.channel())
    # Which one is older is told in whole seconds: here only that one of them waits matters.
    await site.kubectl.until("tch", other.name, lambda status: "Ready" in conditions(status))
    await site.kubectl("delete", "tch", other.name)
    await site.kubectl.ready(f"tch/{station.name}")
    await _request(site, station.name, "revokeRequestedAt=now")
    await station.until_reason("AuthorizationRevoked")


async def _device_code(site: Site, name: str) -> None:
    station = site.new_station(name)
    await site.kubectl.apply(station.channel(authorization={"deviceCode": {}}))
    status = await site.kubectl.until_path("tch", name, "authorization.userCode")
    site.twitch.approve_device(status["authorization"]["userCode"], name)
    await site.kubectl.ready(f"tch/{name}")


async def _stream_key(site: Site, name: str) -> None:
    station = site.new_station(name)
    scopes = ("channel:edit:commercial", "channel:read:ads", "channel:read:stream_key")
    channel = station.channel(streamKeySecretName=f"{name}-key", scopes=list(scopes))
    await site.kubectl.apply(station.grant(scopes=scopes), channel)
    await site.kubectl.ready(f"tch/{name}")
    site.twitch.reset_stream_key(name)


async def _extension(site: Site, name: str) -> None:
    extension = site.twitch.add_extension(f"client0{name.replace('-', '0')}", "27419011")
    shown = extension.secrets[0].content
    await site.kubectl.apply(secret(f"{name}-bootstrap", secret=shown), _app(name))
    await site.kubectl.ready(f"extapp/{name}")
    await _annotate(site, "extapp", name, "revokeRequestedAt=now")
    await site.kubectl.until_path("extapp", name, "lastHandledRevokeAt=now")
    await site.kubectl("delete", "extapp", name)


def _app(name: str) -> dict[str, Any]:
    given = {"bootstrapSecretRef": {"name": f"{name}-bootstrap", "key": "secret"}}
    spec = {
        "clientId": f"client0{name.replace('-', '0')}",
        "ownerId": "27419011",
        "version": "1.0.0",
        "secret": {**given, "targetSecretName": f"{name}-secrets"},
    }
    kind = {"apiVersion": f"{_GROUP}/v1alpha1", "kind": "ExtensionApp"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


async def _request(site: Site, channel: str, what: str) -> None:
    await _annotate(site, "tch", channel, what)


async def _annotate(site: Site, kind: str, name: str, what: str) -> None:
    await site.kubectl("annotate", "--overwrite", kind, name, f"{_GROUP}/{what}")
