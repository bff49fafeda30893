"""An API server without the CRDs: they are waited for, named, and missed when they go."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from controller.sandbox import controlplane
from tests.cluster.kubectl import Kubectl, eventually
from tests.cluster.manifests import message
from tests.cluster.operator_harness import CRDS, new_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own: the other tests need the CRDs, and have their namespaces."""
    with controlplane.start() as plane:
        yield plane


async def test_missing_crds_are_named_and_waited_for_and_their_removal_ends_the_operator(
    plane: ControlPlane, tmp_path: Path
) -> None:
    async with new_site(plane, tmp_path) as site:
        operator = await site.start_operator(wait=False)
        told = "the CRDs are not installed: twitch-operator crds | kubectl apply -f -"
        await eventually(lambda: told in operator.log)
        await site.kubectl("apply", "-f", str(CRDS))
        await operator.running()
        station = await site.add_station("patient")
        station.publish(message())
        assert await station.verdicts() == ["Fired"]
        await site.kubectl("delete", "-f", str(CRDS))
        await eventually(lambda: operator.ended)
        assert operator.process.returncode == 1
        assert "ending: the CRDs are not installed any more" in operator.log


async def test_one_operator_watches_all_namespaces(plane: ControlPlane, tmp_path: Path) -> None:
    plane.run_kubectl("apply", "-f", str(CRDS), check=True)
    plane.until_established("crd", "--all")
    async with new_site(plane, tmp_path) as site:
        await site.start_operator(WATCH_NAMESPACES="")
        station = await site.add_station("everywhere")
        station.publish(message())
        assert await station.verdicts() == ["Fired"]
        second = Kubectl(plane, f"test-{uuid.uuid4().hex[:12]}")
        await second("create", "namespace", second.namespace)
        await second.apply(station.rule())
        found = await second.until_reason("trule", "everywhere", "SecretNotFound")
        assert "Secret playout does not exist" in found["Ready"]["message"]
