"""From `authorize` to Ready and from `revoke` to the end, with command, operator and Twitch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.cluster.consent_harness import Scene, by_code
from tests.cluster.manifests import secret

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.operator_harness import Operator, Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def operator(site: Site) -> Operator:
    # As in production, but for the pace of the Secrets: the command asks for a look at once.
    return await site.start_operator(
        SECRET_CHECK_INTERVAL="60s", MISSING_SECRET_CHECK_INTERVAL="60s"
    )


def by_token(name: str) -> dict[str, Any]:
    return {"refreshToken": {"secretKeyRef": {"name": f"{name}-grant", "key": "refresh-token"}}}


async def consent_anew(scene: Scene) -> str:
    """Run the command, say yes in the browser; returns what it printed at last."""
    arguments = ["--no-browser"]
    async with scene.run(*arguments, "--timeout", "60s") as command:
        page = await scene.consent(await command.url())
        assert "Consent received" in page.text
        return await command.end(0)


async def test_a_code_leads_to_ready_and_after_a_changed_password_again(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "first", by_code("first"))
    assert "twitchchannel/first is Ready: authorized by first" in await consent_anew(scene)
    site.twitch.change_password("first")
    await site.kubectl.annotate("tch", "first", requestedAt="changed")
    found = await site.kubectl.until_reason("tch", "first", "AuthorizationRevoked")
    remedy = re.search(r"kubectl twitch (authorize -n \S+ \S+)", found["Ready"]["message"])
    assert remedy
    assert remedy[1] == f"authorize -n {site.namespace} first"
    assert "first is Ready" in await consent_anew(scene)


async def test_a_refresh_token_leads_to_ready(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "second", by_token("second"))
    async with scene.run(
        "--no-browser", "--redirect-uri", scene.redirect_uri, "--timeout", "60s"
    ) as command:
        await scene.consent(await command.url())
        assert "second is Ready" in await command.end(0)


async def test_a_device_code_leads_to_ready(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "third", {"deviceCode": {}}, public=True)
    async with scene.run("--no-browser", "--timeout", "60s") as command:
        await command.until("and type ")
        found = re.search(r"and type (\w+)", command.out)
        assert found
        site.twitch.approve_device(found[1], "third")
        assert "third is Ready" in await command.end(0)


async def test_a_consent_of_somebody_else_ends_the_command_with_what_is_wrong(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "fourth", by_code("fourth"), login="mst3k_fourth")
    async with scene.run("--no-browser", "--timeout", "60s") as command:
        await scene.consent(await command.url())
        told = await command.end(1)
    assert "LoginMismatch" in told
    assert "the grant is of fourth, spec.login is mst3k_fourth" in told


async def test_a_revoked_channel_comes_back_by_a_new_consent(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "fifth", by_token("fifth"))
    tokens = site.twitch.consent("fifth", "app-of-fifth")
    await site.kubectl.apply(secret("fifth-grant", refresh_token=tokens.refresh_token))
    async with scene.run(
        "--no-browser", "--redirect-uri", scene.redirect_uri, "--timeout", "60s"
    ) as command:
        await scene.consent(await command.url())
        await command.end(0)
    async with scene.run("--timeout", "60s", command="revoke") as command:
        told = await command.end(0)
    assert "revoked" in told
    assert "fifth-grant" in told
    await site.kubectl.until_reason("tch", "fifth", "AuthorizationRevoked")
    async with scene.run(
        "--no-browser", "--redirect-uri", scene.redirect_uri, "--timeout", "60s"
    ) as command:
        await scene.consent(await command.url())
        assert "fifth is Ready" in await command.end(0)
