"""The CRDs, once; and for each module a site with an operator that its tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.cluster.operator_harness import CRDS, new_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.sandbox.controlplane import ControlPlane
    from tests.cluster.operator_harness import Site


_KINDS = ("twitchchannels", "triggerrules", "extensionapps")


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the CRDs in it."""
    control_plane.run_kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", str(CRDS), check=True
    )
    names = [f"crd/{kind}.twitch-operator.dev" for kind in _KINDS]
    control_plane.until_established(*names)
    return control_plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """A namespace with simulators; each module has its own. No operator runs yet."""
    async with new_site(cluster, tmp_path_factory.mktemp("site")) as site:
        yield site
