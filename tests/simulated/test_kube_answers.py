"""The API server's answers, and what others answer in its place: a real HTTP server plays both."""

from __future__ import annotations

import base64
import json
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from controller.clients.kube import Kube, KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

META = {"name": "a", "namespace": "tv", "uid": "u", "resourceVersion": "1"}
TOKEN = "hunter2hunter2hunter2"
CHANNELS = "twitchchannels"


async def _list(kube: Kube) -> list[dict[str, Any]]:
    return [body async for body in kube.list_all(CHANNELS, "tv")]


CALLS: dict[str, tuple[Any, str]] = {
    "list": (_list, "TwitchChannelList"),
    "get": (lambda kube: kube.get(CHANNELS, "tv", "a"), "TwitchChannel"),
    "status": (
        lambda kube: kube.replace_status("TwitchChannel", "tv", "a", "u", {}), "TwitchChannel",
    ),
    "annotate": (lambda kube: kube.annotate(CHANNELS, "tv", "a", {}), "TwitchChannel"),
    "who am I": (lambda kube: kube.who_am_i(), "SelfSubjectReview"),
    "create event": (lambda kube: kube.create_event("tv", {}), "Event"),
    "patch event": (lambda kube: kube.patch_event("tv", "a", {}), "Event"),
    "get secret": (lambda kube: kube.get_secret("tv", "a"), "Secret"),
    "create secret": (
        lambda kube: kube.create_secret("tv", "a", {"key": Sensitive(TOKEN)}, {}), "Secret",
    ),
    "update secret": (
        lambda kube: kube.update_secret(
            "tv", "a", {"key": Sensitive(TOKEN)}, {}, resource_version="1"
        ),
        "Secret",
    ),
    "set key": (lambda kube: kube.set_secret_key("tv", "a", "key", Sensitive(TOKEN)), "Secret"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no certificates, which takes longer than all else: there is no TLS here."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


class Server:
    """Answers everything in the same way, or in turn."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        status, body = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        return web.Response(status=status, body=body)


@asynccontextmanager
async def served(*answers: tuple[int, bytes]) -> AsyncIterator[tuple[Kube, Server]]:
    app, server = web.Application(), Server(*answers)
    app.router.add_route("*", "/{tail:.*}", server.answer)
    async with TestServer(app) as http:

        async def load() -> Configuration:
            configuration = Configuration()
            configuration.host = str(http.make_url("")).rstrip("/")
            return configuration

        async with Kube(load) as kube:
            yield kube, server


def as_json(answer: object) -> bytes:
    return json.dumps(answer).encode()


def whole(kind: str) -> dict[str, Any]:
    """The expected answer."""
    if kind.endswith("List"):
        return {"kind": kind, "metadata": {}, "items": [{"metadata": META}]}
    answer = {"kind": kind, "metadata": META, "status": {"userInfo": {"username": "me"}}}
    return answer | ({"data": {"key": "dGV4dA=="}} if kind == "Secret" else {})


@pytest.mark.parametrize("name", CALLS)
async def test_the_expected_object_is_an_answer(name: str) -> None:
    call, kind = CALLS[name]
    async with served((200, as_json(whole(kind)))) as (kube, _):
        await call(kube)


async def test_each_call_is_told_with_its_status() -> None:
    told: list[tuple[str, str, int | None]] = []

    async def nowhere() -> Configuration:
        return Configuration(host="http://127.0.0.1:9")

    async with served((500, b"")) as (kube, _), Kube(nowhere) as away:
        for each in (kube, away):
            each.on_answer = lambda *answer: told.append(answer)
            with pytest.raises(KubeUnavailable):
                await each.get_secret("tv", "app")
    assert told == [("GET", "Secret", 500), ("GET", "Secret", None)]


ELSEWHERE = {
    "a page": (200, b"<html><body>Sign in</body></html>"),
    "nothing": (200, b""),
    "a text": (200, b'"ok"'),
    "a list": (200, b"[]"),
    "null": (200, b"null"),
    "an empty object": (200, b"{}"),
    "too deep": (200, b"[" * 100_000),
    "another kind": (200, as_json(whole("Pod"))),
    "a Status": (200, as_json({"kind": "Status", "status": "Success", "metadata": {}})),
    "no object, as an error": (500, b"[1]"),
    "a page, as an error": (502, b"<html>Bad gateway</html>"),
    "a page for what is not there": (404, b"<html>Not found</html>"),
    "a page that forbids": (403, b"<html>Forbidden</html>"),
    "an object that is no Status": (403, b'{"message": "blocked by policy"}'),
    "a page that asks for TLS": (400, b"<html>plain HTTP request to HTTPS port</html>"),
    "unchanged": (304, b""),
}


@pytest.mark.parametrize("name", CALLS)
async def test_what_is_not_the_expected_object_is_no_answer(name: str) -> None:
    call, kind = CALLS[name]
    good = as_json(whole(kind))
    answers = {
        **ELSEWHERE,
        "cut short": (200, good[:-1]),
        "no metadata": (200, as_json({**whole(kind), "metadata": None})),
        "no items": (200, as_json({**whole(kind), "items": None})),
        "items without names": (200, as_json({**whole(kind), "items": [{"metadata": {}}]})),
        "data that is a text": (200, as_json({**whole(kind), "data": "text"})),
    }
    if not kind.endswith("List"):
        del answers["no items"], answers["items without names"]
    if kind.endswith(("List", "Review")):
        del answers["data that is a text"]
    if kind.endswith("Review"):
        del answers["no metadata"]
        answers["nobody"] = (200, as_json({"kind": kind, "status": None}))
    for answer in answers.values():
        async with served(answer) as (kube, _):
            with pytest.raises(KubeUnavailable):
                await call(kube)


@pytest.mark.parametrize(
    "part",
    [{"ownerReferences": True}, {"ownerReferences": [1]}, {"labels": [1]}, {"annotations": 1}],
)
@pytest.mark.parametrize("name", ["list", "get", "get secret", "create secret"])
async def test_metadata_of_another_shape_is_no_answer(name: str, part: dict[str, Any]) -> None:
    call, kind = CALLS[name]
    text = as_json(whole(kind)).replace(as_json(META), as_json(META | part))
    async with served((200, text)) as (kube, _):
        with pytest.raises(KubeUnavailable):
            await call(kube)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"kind": "Status", "message": "not found"}, KubeNotFound),
        (409, {"kind": "Status", "message": "exists"}, KubeConflict),
        (403, {"kind": "Status", "message": "forbidden"}, KubeError),
        (422, {"kind": "Status", "message": "invalid"}, KubeError),
        (429, {"kind": "Status", "message": "slow down"}, KubeUnavailable),
        (410, {"kind": "Status", "message": "expired"}, KubeUnavailable),
    ],
)
@pytest.mark.parametrize("name", ["list", "get", "status", "create secret"])
async def test_a_refusal_is_told_in_the_servers_words(
    name: str, status: int, body: dict[str, str], error: type[Exception]
) -> None:
    async with served((status, as_json(body))) as (kube, _):
        with pytest.raises(error, match=f"with {status}: {body['message']}"):
            await CALLS[name][0](kube)


async def test_a_group_that_is_not_installed_is_not_found() -> None:
    async with served((404, b"404 page not found\n")) as (kube, _):
        with pytest.raises(KubeNotFound):
            await _list(kube)


def page(name: str, token: str = "") -> tuple[int, bytes]:
    items = [{"metadata": META | {"name": name}}]
    listed = {"kind": "TwitchChannelList", "metadata": {"continue": token}, "items": items}
    return 200, as_json(listed)


@pytest.mark.parametrize(
    ("status", "body", "lacking"),
    [
        (200, {"kind": "Namespace", "metadata": {"name": "tv", "uid": "u"}}, False),
        (404, {"kind": "Status", "message": "not found"}, True),
        (403, {"kind": "Status", "message": "forbidden"}, False),
    ],
)
async def test_a_namespace_is_lacking_only_where_that_is_known(
    status: int, body: dict[str, Any], lacking: bool
) -> None:
    async with served((status, as_json(body))) as (kube, server):
        assert await kube.lacks_namespace("tv") is lacking
    assert server.asked == ["/api/v1/namespaces/tv"]


GONE = 410, as_json({"kind": "Status", "message": "The provided continue parameter is too old"})


async def test_a_list_whose_rest_has_expired_begins_anew() -> None:
    async with served(page("a", "next"), GONE, page("a", "more"), page("b")) as (kube, server):
        assert [body["metadata"]["name"] for body in await _list(kube)] == ["a", "a", "b"]
    assert ["continue" in asked for asked in server.asked] == [False, True, False, True]


async def test_a_list_that_always_expires_comes_to_an_end() -> None:
    async with served(*[page("a", "next"), GONE] * 10) as (kube, server):
        with pytest.raises(KubeUnavailable):
            await _list(kube)
    assert len(server.asked) <= 20


@pytest.mark.parametrize(
    "quoted",
    [TOKEN, base64.b64encode(TOKEN.encode()).decode(), TOKEN[:12], f"x{TOKEN}y"],
    ids=["plain", "as sent", "a part", "within a word"],
)
@pytest.mark.parametrize("name", ["create secret", "update secret", "set key"])
async def test_no_message_repeats_what_a_secret_holds(name: str, quoted: str) -> None:
    denial = f"admission webhook denied the request: data.key: {quoted}\x1b[2J is not allowed"
    async with served((422, as_json({"kind": "Status", "message": denial}))) as (kube, _):
        with pytest.raises(KubeError) as refused:
            await CALLS[name][0](kube)
    assert "admission webhook denied the request: data.key: ***" in str(refused.value)
    assert TOKEN[:12] not in str(refused.value)
    assert quoted not in str(refused.value)
    assert "\x1b" not in str(refused.value)
