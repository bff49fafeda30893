"""`twitch-operator revoke`: what it asks for, and what it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.consent_harness import Scene, account, by_code, condition
from tests.cluster.manifests import secret

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]


def by_token(name: str) -> dict[str, object]:
    return {"refreshToken": {"secretKeyRef": {"name": f"{name}-grant", "key": "refresh-token"}}}


async def test_the_operator_is_asked_and_its_answer_told_with_what_follows(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "leaver", by_token("leaver"))
    await site.kubectl.apply(secret("leaver-grant", refresh_token="the-former-token", note="stays"))
    async with scene.run(command="revoke") as command:
        await scene.answer_revocation()
        told = await command.end(0)
    assert "twitchchannel/leaver: the grant was revoked at Twitch" in told
    assert f"kubectl twitch authorize -n {site.namespace} leaver" in told
    assert "Secret leaver-grant may still hold the former refresh token" in told
    assert not site.twitch.calls(path="/oauth2/revoke")  # the operator revokes
    # What it says deletes the token, and nothing else.
    line = next(line for line in told.splitlines() if "kubectl patch secret" in line)
    arguments, patch = line.split(" -p ")
    await site.kubectl(*arguments.split()[1:], "-p", patch.strip("'"))
    assert set((await site.kubectl.get("secret", "leaver-grant"))["data"]) == {"note"}


async def test_get_and_patch_of_the_channel_are_rights_enough(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "few-rights", by_code("few-rights"))
    kinds = {"apiGroups": ["twitch-operator.dev"], "resources": ["twitchchannels"]}
    able = await account(site, "able", [kinds | {"verbs": ["get", "patch"]}], tmp_path)
    async with scene.run(command="revoke", KUBECONFIG=str(able)) as command:
        await scene.answer_revocation()
        assert "may still hold" not in await command.end(0)  # a used code is worth nothing
    reader = await account(site, "reader", [kinds | {"verbs": ["get"]}], tmp_path)
    async with scene.run(command="revoke", KUBECONFIG=str(reader)) as command:
        assert "you may not patch twitchchannels.twitch-operator.dev" in await command.end(1)


async def test_without_an_operator_it_gives_up_and_says_so(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "unheard", by_code("unheard"))
    async with scene.run("--timeout", "1s", command="revoke") as command:
        assert "no operator answered within 1s" in await command.end(1)


async def test_what_holds_the_operator_up_is_told(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "held", by_code("held"))
    async with scene.run("--timeout", "5s", command="revoke") as command:
        await command.until("Waiting for the operator to revoke it")
        trouble = condition("Ready", "False", "TransientError", "Twitch answered 503")
        await scene.answer(trouble, answered="an earlier request")
        told = await command.end(1)
    assert told.count("TransientError: Twitch answered 503") == 2  # when it came, and in the end


async def test_ctrl_c_ends_it_with_one_line(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "cut", by_code("cut"))
    async with scene.run(command="revoke") as command:
        await command.until("Waiting for the operator to revoke it")
        await command.interrupt()
        assert command.errors.splitlines()[-1] == "twitch-operator: interrupted"
