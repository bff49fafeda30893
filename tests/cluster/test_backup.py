"""A backup as docs/backup.md makes it, restored where nothing is left: all UIDs are new."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message, secret

if TYPE_CHECKING:
    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
KINDS = "secrets,twitchchannels,extensionapps,triggerrules"
CLIENT_ID = "d72hk844mgvex3kbfhrgjtdoeqrh0t"


def commands() -> tuple[str, str]:
    """The command of the page that saves, and the one that restores."""
    save, restore = re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return save, restore


async def run(site: Site, command: str, folder: Path) -> None:
    """Run a command of the page as it stands there."""
    path = f"{site.plane.kubectl.parent}:{os.environ['PATH']}"
    given = {"NAMESPACE": site.namespace, "KUBECONFIG": str(site.plane.kubeconfig), "PATH": path}
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-o", "pipefail", "-c", command],
        env=os.environ | given,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def extension() -> dict[str, Any]:
    given = {"name": "deck-bootstrap", "key": "secret"}
    spec = {
        "clientId": CLIENT_ID,
        "ownerId": "27419011",
        "version": "1.0.0",
        "secret": {"bootstrapSecretRef": given, "targetSecretName": "deck-secrets"},
    }
    api = "twitch-operator.dev/v1alpha1"
    return {"apiVersion": api, "kind": "ExtensionApp", "metadata": {"name": "deck"}, "spec": spec}


@pytest.mark.skipif(shutil.which("jq") is None, reason="the page's command needs jq")
async def test_a_restored_backup_goes_on_without_a_consent_or_a_second_commercial(
    site: Site, tmp_path: Path
) -> None:
    save, restore = commands()
    mine = site.twitch.add_extension(CLIENT_ID, "27419011")
    await site.kubectl.apply(secret("deck-bootstrap", secret=mine.secrets[0].content), extension())
    operator = await site.start_operator()
    station = await site.add_station("moved", token={"deletionPolicy": "Delete"})
    # Once revoked, and connected again: the request stays on the channel.
    mark = "twitch-operator.dev/revokeRequestedAt=2027-01-15T08:00:00Z"
    await site.kubectl("annotate", "tch/moved", mark)
    await station.until_reason("AuthorizationRevoked")
    await station.consent()
    await site.kubectl.ready("tch/moved", "trule/moved", "extapp/deck")
    station.publish(message(cue_id="before"))
    assert await station.verdicts() == ["Fired"]
    assert await operator.end() == 0

    kept = {name: await site.kubectl.get("secret", name) for name in MADE}
    assert kept["moved-twitch-token"]["metadata"]["ownerReferences"]
    spent = (station.refreshes, station.calls("/oauth2/revoke"), mine.created)
    await run(site, save, tmp_path)
    await site.kubectl("delete", KINDS, "--all")
    await run(site, restore, tmp_path)
    began = time.time()
    restored = {name: await site.kubectl.get("secret", name) for name in MADE}
    for name, old in kept.items():
        assert restored[name]["metadata"]["uid"] != old["metadata"]["uid"]
        assert restored[name]["data"] == old["data"]

    operator = await site.start_operator()
    await site.kubectl.ready("tch/moved", "trule/moved", "extapp/deck")
    # The headend repeats the cue of the break that runs: Twitch knows that it had its commercial.
    station.publish(message(cue_id="before"))
    assert await station.verdicts() != ["Fired"]
    assert len(station.commercials) == 1
    assert (station.refreshes, station.calls("/oauth2/revoke"), mine.created) == spent
    # Longer than the garbage collector takes for an owner that does not exist.
    await eventually(lambda: time.time() > began + 4)
    for name in MADE:
        assert (await site.kubectl.get("secret", name))["data"].keys() == kept[name]["data"].keys()
    token = base64.b64decode(kept["moved-twitch-token"]["data"]["refresh-token"]).decode()
    assert token not in operator.log


MADE = ("moved-twitch-token", "deck-secrets")
