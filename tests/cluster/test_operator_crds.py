"""An API server without the CRDs: they are waited for, named, and missed when they go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.sandbox import controlplane
from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message
from tests.cluster.operator_harness import CRDS, new_site

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cluster


async def test_missing_crds_are_named_and_waited_for_and_their_removal_ends_the_operator(
    tmp_path: Path,
) -> None:
    with controlplane.start() as plane:  # its own: the others need the CRDs
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
