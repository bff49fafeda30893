"""`twitch-operator authorize`, from the consent page to what it hands over and tells."""

from __future__ import annotations

import re
import socket
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.cluster.consent_harness import (
    SCRIPTS,
    Scene,
    account,
    by_code,
    condition,
    free_port,
    listening,
)
from tests.cluster.kubectl import eventually
from tests.cluster.manifests import secret

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

BROWSER = """\
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
page = opener.open(sys.argv[1] + "&login=" + sys.argv[2]).read()
open(sys.argv[3], "wb").write(page)
"""
BY_DEVICE: dict[str, Any] = {"deviceCode": {}}


def by_token(name: str) -> dict[str, Any]:
    return {"refreshToken": {"secretKeyRef": {"name": f"{name}-grant", "key": "refresh-token"}}}


# Ways in


async def test_a_code_reaches_its_secret_and_the_operator_is_asked(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "coded", by_code("coded"), scopes=[
        "channel:edit:commercial", "channel:read:ads", "channel:read:stream_key",
    ])  # fmt: skip
    script, page = tmp_path / "browser.py", tmp_path / "page.html"
    script.write_text(BROWSER)
    browser = f"{sys.executable} {script} %s coded {page}"
    async with scene.run(BROWSER=browser) as command:
        assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}(\.\d{3})?Z", await scene.asked())
        consent = site.twitch.logins._codes[await scene.given("code")]
        assert consent.redirect_uri == scene.redirect_uri
        assert consent.scopes == (
            "channel:edit:commercial", "channel:read:ads", "channel:read:stream_key",
        )  # fmt: skip
        await scene.make_ready()
        told = await command.end(0)
    assert "twitchchannel/coded is Ready: authorized by coded" in told
    assert "Scopes: channel:edit:commercial" in told
    assert "Consent received" in page.read_text()
    # The operator alone exchanges it, and refreshes.
    assert not site.twitch.calls(path="/oauth2/token")


async def test_a_refresh_token_is_exchanged_and_reaches_its_secret(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "imported", by_token("imported"))
    await site.kubectl.apply(secret("imported-grant", refresh_token="old", note="stays"))
    async with scene.run("--no-browser", "--redirect-uri", scene.redirect_uri) as command:
        page = await scene.consent(await command.url())
        assert (page.status_code, "Consent received" in page.text) == (200, True)
        assert page.headers["Referrer-Policy"] == "no-referrer"
        await scene.make_ready()
        await command.end(0)
    assert await scene.given("refresh-token") in site.twitch.grants._by_refresh
    assert await scene.given("note") == "stays"


async def test_no_consent_is_written_into_a_secret_of_the_operator(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "misled", by_token("misled"))
    tokens = secret("misled-grant", refresh_token="of-another")
    tokens["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "twitch-operator",
        "twitch-operator.dev/channel": "another",
    }
    await site.kubectl.apply(tokens)
    async with scene.run("--no-browser") as command:
        told = await command.end(1)
    assert "spec.authorization.refreshToken.secretKeyRef: Secret misled-grant was made by" in told
    assert await scene.given("refresh-token") == "of-another"


async def test_a_device_code_is_shown_anew_and_has_all_the_time(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "device", BY_DEVICE)
    pending = [
        condition(kind, "False", "AuthorizationPending", "type it")
        for kind in ("Ready", "Authorized")
    ]
    code = {"verificationUri": "https://www.twitch.tv/activate", "userCode": "FIRSTONE",
            "userCodeExpirationTime": "2999-01-01T00:00:00Z"}  # fmt: skip
    async with scene.run("--no-browser", "--timeout", "5s") as command:
        await scene.answer(*pending, authorization=code)
        await command.until("open https://www.twitch.tv/activate and type FIRSTONE, until 2999-01")
        over = time.monotonic() + 5
        await eventually(lambda: time.monotonic() > over)
        await scene.answer(*pending, authorization=code | {"userCode": "ANOTHER1"})
        await command.until("type ANOTHER1")
        assert command.out.count("FIRSTONE") == command.out.count("ANOTHER1") == 1
        await site.kubectl(
            "patch", "tch", "device", "--subresource=status", "--type=merge", "-p",
            '{"status": {"authorization": null}}',
        )  # fmt: skip
        await scene.make_ready()
        await command.end(0)


async def test_the_address_of_a_device_code_is_opened(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "opened", BY_DEVICE)
    opened = tmp_path / "opened"
    async with scene.run(BROWSER=f"touch {opened} %s.opened") as command:
        pending = condition("Ready", "False", "AuthorizationPending")
        code = {"verificationUri": f"http://{tmp_path}/x", "userCode": "ABCDEFGH"}
        await scene.answer(pending, pending | {"type": "Authorized"}, authorization=code)
        await eventually(opened.exists)
        await command.interrupt()


async def test_namespace_and_rights_of_the_docs_are_enough(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "rightful", by_code("rightful"))
    group = "twitch-operator.dev"
    kubeconfig = await account(site, "rightful", [
        {"apiGroups": [group], "resources": ["twitchchannels"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["rightful-app"],
         "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["rightful-grant"],
         "verbs": ["patch"]},
    ], tmp_path)  # fmt: skip
    options = ("--context", "sandbox", "--no-browser")
    # Without -n: the context of that kubeconfig names the namespace.
    for _ in range(2):  # the Secret is made, then changed
        async with scene.run(*options, KUBECONFIG=str(kubeconfig)) as command:
            await scene.consent(await command.url())
            await command.until("Waiting for the operator")
            await scene.make_ready()
            await command.end(0)
            await site.kubectl("annotate", "tch", "rightful", f"{group}/requestedAt-")


# What Twitch or a stranger sends back


async def test_an_answer_with_another_state_is_told_and_the_right_one_still_taken(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "forged", by_code("forged"))
    async with scene.run("--no-browser") as command:
        url = await command.url()
        for query in ("code=forged-code&state=forged-state", "code=forged-code"):
            page = await scene.browse(f"{scene.redirect_uri}?{query}")
            assert page.status_code == 400
        elsewhere = await scene.browse(scene.redirect_uri.replace("callback", "x") + "?code=c")
        assert elsewhere.status_code == 404
        await command.until("An answer whose state is not that of this consent came")
        await scene.consent(url)
        await scene.make_ready()
        told = await command.end(0)
    assert told.count("An answer whose state") == 2
    assert "forged-code" not in told
    assert await scene.given("code") in site.twitch.logins._codes


async def test_a_refused_consent_is_shown_with_twitchs_words(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "denied", by_code("denied"))
    async with scene.run("--no-browser") as command:
        page = await scene.browse(await command.url())  # nobody is signed in
        told = await command.end(1)
    assert "Twitch gave no consent" in page.text
    words = "Twitch gave no consent: access_denied: The user denied you access"
    assert f"twitch-operator: {words}" in told
    assert "NotFound" in await site.kubectl("get", "secret", "denied-grant", check=False)


async def test_what_twitch_writes_steers_neither_page_nor_terminal(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "steered", by_code("steered"))
    async with scene.run("--no-browser") as command:
        state = httpx.URL(await command.url()).params["state"]
        query = httpx.QueryParams(error="<b>bold</b>", error_description="\x1b[2J", state=state)
        page = await scene.browse(f"{scene.redirect_uri}?{query}")
        told = await command.end(1)
    assert "&lt;b&gt;bold&lt;/b&gt;" in page.text
    assert "<b>bold</b>: \\u001b[2J" in told
    assert "\x1b" not in told


async def test_the_port_is_open_on_loopback_alone(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "inward", by_code("inward"))
    port = httpx.URL(scene.redirect_uri).port
    assert port is not None
    async with scene.run("--no-browser") as command:
        await command.url()
        assert listening(port)
        assert not listening(port, "127.0.0.2")  # as any address but the one named
        assert command.process.poll() is None


# Where it cannot listen


async def test_a_taken_port_is_told_with_the_remedy(site: Site, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        uri = f"http://localhost:{port}/cb"
        scene = await Scene.set_up(site, tmp_path, "taken", by_code("taken"), redirect_uri=uri)
        async with scene.run() as command:
            told = await command.end(1)
    assert f"cannot listen on 127.0.0.1 port {port} for {uri}: Address already in use" in told
    assert "End the program that uses the port" in told


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("pasted", "https://playout.example/auth/twitch/callback"),
        ("pasted-tls", "https://localhost:3000/callback"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_is_pasted(
    site: Site, tmp_path: Path, name: str, uri: str
) -> None:
    scene = await Scene.set_up(site, tmp_path, name, by_code(name), redirect_uri=uri)
    async with scene.run("--no-browser") as command:
        url = httpx.URL(await command.url()).copy_merge_params({"login": name})
        await command.until(f"Then paste here the address that the browser was sent to: {uri}?…")
        command.type(f"{uri}?code=of-somebody&state=else")
        await command.until("An answer whose state is not")
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            sent_to = (await client.get(url)).headers["Location"]
        command.type(f"  {sent_to}")
        await scene.make_ready()
        await command.end(0)
    assert await scene.given("code") in site.twitch.logins._codes


async def test_without_an_address_to_paste_it_ends(site: Site, tmp_path: Path) -> None:
    uri = "https://playout.example/callback"
    scene = await Scene.set_up(site, tmp_path, "silent", by_code("silent"), redirect_uri=uri)
    async with scene.run("--no-browser") as command:
        assert command.process.stdin is not None
        command.process.stdin.close()
        command.process.stdin = None
        assert "no address was pasted" in await command.end(1)


# What is wrong before the broadcaster is asked


async def test_a_missing_channel_is_told_with_those_that_there_are(
    site: Site, tmp_path: Path
) -> None:
    await Scene.set_up(site, tmp_path, "there", by_code("there"))
    missing = Scene(site, "mispelt", "", tmp_path, "secret")
    async with missing.run() as command:
        told = await command.end(1)
    assert f"twitchchannel/mispelt does not exist in namespace {site.namespace}" in told
    assert re.search(r"there is .*\bthere\b", told)
    async with missing.run("-n", "default") as command:
        assert "there is none (choose a namespace with -n)" in await command.end(1)


@pytest.mark.parametrize(
    ("name", "rights", "told"),
    [
        ("blind", ([], []), "you may not get twitchchannels.twitch-operator.dev in namespace"),
        ("reader", (["get", "patch", "create"], ["get"]), "you may not patch twitchchannels."),
        ("unpatched", (["get", "create"], ["get", "patch"]), "you may not patch secrets in"),
        ("uncreated", (["get", "patch"], ["get", "patch"]), "you may not create secrets in"),
        ("unread", (["patch", "create"], ["get", "patch"]), "you may not get secrets in"),
    ],
)
async def test_a_missing_right_is_named_before_the_broadcaster_is_asked(
    site: Site, tmp_path: Path, name: str, rights: tuple[list[str], list[str]], told: str
) -> None:
    scene = await Scene.set_up(site, tmp_path, name, by_code(name))
    rules = [
        {"apiGroups": [group], "resources": [kind], "verbs": verbs}
        for group, kind, verbs in (
            ("", "secrets", rights[0]),
            ("twitch-operator.dev", "twitchchannels", rights[1]),
        )
        if verbs
    ]
    kubeconfig = await account(site, name, rules, tmp_path)
    async with scene.run("--no-browser", KUBECONFIG=str(kubeconfig)) as command:
        assert f"twitch-operator: {told}" in await command.end(1)
    assert "/oauth2/authorize" not in command.out


async def test_a_public_client_is_led_to_the_device_code(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "public", by_token("public"), public=True)
    async with scene.run() as command:
        told = await command.end(1)
    assert "Secret public-app has no client-secret" in told
    assert "set spec.authorization to deviceCode: {}" in told


async def test_a_redirect_uri_is_for_a_refresh_token_alone(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "fixed", by_code("fixed"))
    async with scene.run("--redirect-uri", "http://localhost:1/") as command:
        told = await command.end(1)
    assert "this one has authorizationCode: leave it out" in told


async def test_a_redirect_uri_that_twitch_does_not_know_is_told_with_the_option(
    site: Site, tmp_path: Path
) -> None:
    scene = await Scene.set_up(site, tmp_path, "elsewhere", by_token("elsewhere"))
    other = f"http://127.0.0.1:{free_port()}/cb"
    async with scene.run("--no-browser", "--redirect-uri", other) as command:
        params = httpx.URL(await command.url()).params
        app = site.twitch.grants.named_app("app-of-elsewhere")
        user = site.twitch.channels.named("elsewhere")
        now = site.twitch.clock()
        code = site.twitch.logins.code(app, user.id, ["a"], scene.redirect_uri, now)
        await scene.browse(f"{other}?{httpx.QueryParams(code=code, state=params['state'])}")
        assert "Give the redirect URI that the application registered" in await command.end(1)


# What the operator makes of it


async def test_without_an_operator_it_gives_up_and_says_so(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "alone", BY_DEVICE)
    async with scene.run("--timeout", "1s") as command:
        told = await command.end(1)
    assert "no operator answered within 1s" in told
    assert f"none seems to watch namespace {site.namespace}" in told
    await scene.make_ready()
    async with scene.run("--timeout", "1s") as command:
        told = await command.end(1)
    assert "The status is of before: Succeeded: authorized by alone" in told


async def test_what_was_last_seen_is_told_when_the_time_is_over(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "ailing", BY_DEVICE)
    async with scene.run("--timeout", "5s") as command:
        await command.until("Waiting for the operator to take it")
        trouble = condition("Ready", "False", "TransientError", "Twitch answered 503")
        await scene.answer(trouble, answered="an earlier request")
        told = await command.end(1)
    assert "gave up after 5s; what was last seen is: TransientError: Twitch answered 503" in told


@pytest.mark.parametrize(
    ("name", "conditions", "told"),
    [
        ("refused",
         [condition("Ready", "True", "Succeeded"),
          condition("Authorized", "True", "InputRefused", "the new code is refused"),
          condition("Stalled", "True", "InputRefused", "the new code is refused")],
         "InputRefused: the new code is refused"),
        ("stalled",
         [condition("Ready", "False", "LoginMismatch", "the grant is of another"),
          condition("Authorized", "False", "LoginMismatch", "the grant is of another"),
          condition("Stalled", "True", "LoginMismatch", "the grant is of another")],
         "LoginMismatch: the grant is of another"),
    ],
)  # fmt: skip
async def test_what_a_human_must_mend_ends_it_with_reason_and_message(
    site: Site, tmp_path: Path, name: str, conditions: list[dict[str, str]], told: str
) -> None:
    scene = await Scene.set_up(site, tmp_path, name, by_code(name))
    async with scene.run("--no-browser") as command:
        await scene.consent(await command.url())
        await scene.answer(*conditions)
        assert f"twitch-operator: {told}" in await command.end(1)


async def test_a_suspended_channel_is_authorized_all_the_same(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "paused", by_code("paused"), suspend=True)
    async with scene.run("--no-browser") as command:
        await scene.consent(await command.url())
        await scene.answer(
            condition("Ready", "False", "Suspended"),
            condition("Authorized", "True", "Succeeded"),
            condition("Suspended", "True", "Suspended"),
        )
        assert "twitchchannel/paused is authorized by paused" in await command.end(0)


# Ends


async def test_nobody_who_consents_in_time_ends_it(site: Site, tmp_path: Path) -> None:
    scene = await Scene.set_up(site, tmp_path, "absent", by_code("absent"))
    async with scene.run("--no-browser", "--timeout", "1s") as command:
        assert "no consent came within 1s" in await command.end(1)


@pytest.mark.parametrize("way", ["listening", "pasting"])
async def test_ctrl_c_ends_it_with_one_line_and_frees_the_port(
    site: Site, tmp_path: Path, way: str
) -> None:
    uri = "" if way == "listening" else "https://playout.example/cb"
    scene = await Scene.set_up(site, tmp_path, way, by_code(way), redirect_uri=uri)
    async with scene.run("--no-browser") as command:
        await command.url()
        await command.until("Waiting for" if way == "listening" else "Then paste here")
        await command.interrupt()
        last = command.errors.splitlines()[-1]
    assert last == "twitch-operator: interrupted"
    if way == "listening":
        assert not listening(httpx.URL(scene.redirect_uri).port or 0)


async def test_the_plugin_of_kubectl_speaks_with_its_own_name(site: Site, tmp_path: Path) -> None:
    missing = Scene(site, "plugged", "", tmp_path, "secret")
    program = (str(site.plane.kubectl), "twitch")
    path = f"{SCRIPTS}:/usr/bin:/bin"
    async with missing.run(program=program, PATH=path) as command:
        assert "kubectl twitch: twitchchannel/plugged does not exist" in await command.end(1)
