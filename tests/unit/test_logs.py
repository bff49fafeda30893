"""Log lines hold no credential, whoever writes them."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import logging
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.commands.start import say_start
from controller.logs import fields, redact, set_up_logging
from controller.runtime.resource import Key
from controller.sensitive import Sensitive
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "abcdef0123456789ABCDEF"
FORMS: tuple[Literal["text", "json"], ...] = ("text", "json")
TOUCHED = ("hpack", "httpcore", "pubnub", "asyncio", "aiohttp", "kopf", "httpx")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in TOUCHED}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # URLs and forms
        (f"GET /v2/subscribe/{SECRET}/mst3k/0?tt=1", "GET /v2/subscribe/***/mst3k/0?tt=1"),
        (f"?uuid=x&auth={SECRET}&tt=1", "?uuid=x&auth=***&tt=1"),
        (f"auth=a%2Bb%2F{SECRET}", "auth=***"),
        (f"client_id=abc&client_secret={SECRET}", "client_id=abc&client_secret=***"),
        (f"refresh_token={SECRET}&grant_type=x", "refresh_token=***&grant_type=x"),
        (f"/cb?code={SECRET}&scope=a", "/cb?code=***&scope=a"),
        (f"access_token={SECRET}'", "access_token=***'"),
        (f"?stream_key={SECRET}&x=1", "?stream_key=***&x=1"),
        # Headers
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer ***"),
        (f"Authorization: OAuth {SECRET}", "Authorization: OAuth ***"),
        (f"(b'Authorization', b'Bearer {SECRET}')", "(b'Authorization', b'Bearer ***')"),
        (f"authorization: bearer a.{SECRET}-_~+/=", "authorization: bearer ***"),
        # JSON and the repr of dicts
        (f'{{"access_token":"{SECRET}","expires_in":1}}', '{"access_token":"***","expires_in":1}'),
        (f'"refresh_token": "{SECRET}"', '"refresh_token": "***"'),
        (f"{{'client_secret': '{SECRET}'}}", "{'client_secret': '***'}"),
        (f"{{'refresh-token': '{SECRET}'}}", "{'refresh-token': '***'}"),
        (f"{{'client-secret': '{SECRET}'}}", "{'client-secret': '***'}"),
        (f"{{'subscribe-key': '{SECRET}'}}", "{'subscribe-key': '***'}"),
        (f"{{'cipher-key': '{SECRET}'}}", "{'cipher-key': '***'}"),
        (f"{{'stream-key': b'{SECRET}'}}", "{'stream-key': b'***'}"),
        (f'{{"data":[{{"stream_key":"{SECRET}"}}]}}', '{"data":[{"stream_key":"***"}]}'),
        (f'{{"auth-key": "it\'s {SECRET}"}}', '{"auth-key": "***"}'),
        (f'{{"auth-key": "a\\"b{SECRET}"}}', '{"auth-key": "***"}'),
        (f"{{'auth_key': b'{SECRET}'}}", "{'auth_key': b'***'}"),
    ],
)  # fmt: skip
def test_credentials_are_replaced_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "default/mst3k: cue 1611912397739_177005: Fired: commercial of 125 s",
        "Twitch answered 403: invalid client secret",
        "Twitch answered 400: Invalid refresh token",
        "spec.authorization.refreshToken.secretKeyRef: Secret grant has no key refresh-token",
        "OAuth error: the token endpoint did not answer /token",
        "the status code=200",
        "spec.streamKeySecretName: Secret encoder has the key stream-key",
        "Twitch answered GET /streams/key with 401: Missing scope: channel:read:stream_key",
        'GET /helix/streams "HTTP/1.1 200 OK"',
    ],
)
def test_what_is_no_credential_is_left_alone(text: str) -> None:
    assert redact(text).replace("***", "200") == text


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("form", FORMS)
def test_messages_arguments_and_tracebacks_are_redacted(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("INFO", form)
    logger = logging.getLogger("controller.test")
    logger.info("calling with %s and Bearer %s", Sensitive(SECRET), SECRET)
    logger.info("headers %s", {"Authorization": f"Bearer {SECRET}"})
    try:
        msg = f"https://id.twitch.tv/oauth2/token?refresh_token={SECRET}"
        raise ValueError(msg)
    except ValueError:
        logger.exception("it failed")
    told = "\n".join(lines(capsys))
    assert SECRET not in told
    assert "calling with *** and Bearer ***" in told
    assert "ValueError: https://id.twitch.tv/oauth2/token?refresh_token=***" in told


@pytest.mark.parametrize("form", FORMS)
def test_libraries_at_debug_leak_nothing(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("DEBUG", form)
    for name in ("httpx", "pubnub", "httpcore", "hpack"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    url = httpx.URL("http://127.0.0.1:1/v2/subscribe/" + SECRET + "/a/0?auth=" + SECRET)
    logging.getLogger("httpx").info('HTTP Request: %s %s "%s"', "GET", url, "HTTP/1.1 200 OK")
    logging.getLogger("pubnub").debug("%s %s %s", "GET", url, None)
    logging.getLogger("pubnub").error("session.request exception: %s", url)
    headers = [(b"Client-Id", b"abc"), (b"Authorization", b"Bearer " + SECRET.encode())]
    logging.getLogger("httpcore.http11").debug("send_request_headers.started headers=%r", headers)
    logging.getLogger("hpack.hpack").debug("Adding %r to the header table", headers[1])
    told = lines(capsys)
    assert len(told) == 5
    assert SECRET not in "\n".join(told)


def test_libraries_that_write_whole_requests_stay_quiet_at_debug(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging("DEBUG", "text")
    for name in TOUCHED:
        logging.getLogger(name).debug("a whole request")
    for name in ("httpx", "pubnub", "kopf"):
        logging.getLogger(name).info("a whole request")
    assert lines(capsys) == []


def test_json_lines_are_json_with_time_level_logger_and_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging("WARNING", "json")
    logger = logging.getLogger("controller.test")
    logger.info("not shown")
    logger.warning("Ad «%s»\nnext line", "ü")
    [line] = lines(capsys)
    told: dict[str, Any] = json.loads(line)
    assert told.keys() == {"time", "level", "logger", "message"}
    assert (told["level"], told["logger"]) == ("WARNING", "controller.test")
    assert told["message"] == r"Ad «ü»\nnext line"
    assert told["time"].endswith("+00:00")


def test_json_lines_have_the_resource_and_what_was_decided_as_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging("INFO", "json")
    key = Key("TriggerRule", "tv", "splices")
    told = fields(rule="splices", channel=None, cue_id="7", verdict="Fired", latency_seconds=0.25)
    logging.getLogger("controller.test").info("%s: cue %s", key, "7", extra=told)
    [line] = lines(capsys)
    found = json.loads(line)
    assert found["message"] == "TriggerRule tv/splices: cue 7"
    wanted = {"namespace": "tv", "kind": "TriggerRule", "name": "splices"}
    wanted |= {"rule": "splices", "cue_id": "7", "verdict": "Fired"}
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["latency_seconds"] == 0.25
    assert "channel" not in found


def test_fields_hold_no_credential(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("INFO", "json")
    told = fields(cue_id=f"access_token={SECRET}", reason="\x1b[31m")
    logging.getLogger("controller.test").info("a cue", extra=told)
    [line] = lines(capsys)
    assert SECRET not in line
    assert "\x1b" not in json.loads(line)["reason"]


@pytest.mark.parametrize(
    ("namespaces", "told"), [((), "all namespaces"), (("tv", "radio"), "namespaces tv, radio")]
)
def test_the_start_says_version_cluster_and_namespaces(
    namespaces: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("INFO", "text")
    settings = Settings(watch_namespaces=namespaces)
    say_start("operator", "https://10.0.0.1:6443", settings, "limits")
    [line] = lines(capsys)
    version = importlib.metadata.version("twitch-operator")
    assert f"twitch-operator {version}: operator, API server https://10.0.0.1:6443, {told};" in line


def test_setting_up_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("INFO", "text")
    set_up_logging("INFO", "text")
    logging.getLogger("controller.test").info("once")
    [line] = lines(capsys)
    assert line.endswith(" INFO    controller.test: once")


VALUES = st.text(min_size=1, max_size=30).filter(lambda text: text.strip("*"))


@given(
    name=st.sampled_from(["access_token", "client_secret", "auth-key", "cipher_key"]), value=VALUES
)
def test_any_text_in_the_json_of_a_credential_is_replaced(name: str, value: str) -> None:
    assert json.loads(redact(json.dumps({name: value, "other": 1}))) == {name: "***", "other": 1}


@given(
    name=st.sampled_from(["access_token", "client_secret", "auth-key", "cipher_key"]), value=VALUES
)
def test_any_text_in_the_repr_of_a_credential_is_replaced(name: str, value: str) -> None:
    shown = redact(repr({name: value, "other": 1}))
    assert ast.literal_eval(shown) == {name: "***", "other": 1}


@given(value=st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=8, max_size=60))
def test_any_bearer_token_is_replaced(value: str) -> None:
    assert redact(f"Bearer {value}") == "Bearer ***"
