"""Environment → Settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from controller.errors import SettingsError
from controller.feeds.pubnub.spec import PubNubSettings
from controller.settings import PREFIX, Settings

EXAMPLES: dict[str, tuple[str, object]] = {
    "helix_url": ("http://127.0.0.1:1/helix/", "http://127.0.0.1:1/helix"),
    "identity_url": ("https://id.example/oauth2", "https://id.example/oauth2"),
    "watch_namespaces": ("playout, eu ,", ("playout", "eu")),
    "validate_interval": ("30m", 1800.0),
    "secret_check_interval": ("1m30s", 90.0),
    "missing_secret_check_interval": ("250ms", 0.25),
    "live_check_interval": ("2m", 120.0),
    "ads_check_interval": ("90s", 90.0),
    "resync_interval": ("1h", 3600.0),
    "min_activation_delay": ("2s", 2.0),
    "extension_check_interval": ("1m", 60.0),
    "allowed_fetch_hosts": ("127.0.0.1, id.internal:8443", ("127.0.0.1", "id.internal:8443")),
    "gateway_address": ("127.0.0.1:0", "127.0.0.1:0"),
    "gateway_drain": ("100ms", 0.1),
    "gateway_timeout": ("2s", 2.0),
    "status_interval": ("5s", 5.0),
    "call_timeout": ("1.5s", 1.5),
    "leader_election": ("true", True),
    "lease_duration": ("20s", 20.0),
    "shards": ("3", 3),
    "shard": ("2", 2),
    "lease_name": ("operators", "operators"),
    "lease_namespace": ("playout", "playout"),
    "lease_identity": ("0b1a", "0b1a"),
    "identity_timeout": ("10s", 10.0),
    "identity_concurrency": ("3", 3),
    "subscribe_timeout": ("30s", 30.0),
    "feed_stale_after": ("5m", 300.0),
    "as_run_log": ("none", "none"),
    "as_run_dir": ("/var/log/as-run", "/var/log/as-run"),
    "log_format": ("json", "json"),
    "log_level": ("DEBUG", "DEBUG"),
    "metrics_address": ("127.0.0.1:8080", "127.0.0.1:8080"),
    "health_address": (":8081", ":8081"),
}

PUBNUB = {"pubnub_origin": "127.0.0.1:2", "pubnub_tls": "false"}
HLS = {"hls_timeout": "2"}


def read(**values: str) -> Settings:
    return Settings.from_environment(
        {PREFIX + name.upper(): value for name, value in values.items()}
    )


def test_every_setting_has_an_example_here() -> None:
    named = {name.removeprefix(PREFIX).lower() for name in Settings.variables()}
    assert named == EXAMPLES.keys() | PUBNUB.keys() | HLS.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_variable_is_read_and_differs_from_the_default(name: str) -> None:
    text, value = EXAMPLES[name]
    others = {"leader_election": "true", "shards": "3"} if name in ("shards", "shard") else {}
    assert getattr(read(**others | {name: text}), name) == value
    assert getattr(Settings(), name) != value


@pytest.mark.parametrize(
    "given", ["play*,foo", "!kube-system", "a b", "Play", "-a", "a.b", "x" * 64]
)
def test_a_pattern_is_no_namespace(given: str) -> None:
    with pytest.raises(SettingsError, match="WATCH_NAMESPACES") as refused:
        read(watch_namespaces=given)
    assert repr(given.split(",", maxsplit=1)[0]) in str(refused.value)
    assert "patterns are not possible" in str(refused.value)
    assert "foo" not in str(refused.value)


def test_namespaces_are_named_once_and_not_by_commas_alone() -> None:
    assert read(watch_namespaces="a,b,a").watch_namespaces == ("a", "b")
    with pytest.raises(SettingsError, match="has no name in it"):
        read(watch_namespaces=" , ")


def test_all_together_are_read() -> None:
    settings = read(**{name: text for name, (text, _) in EXAMPLES.items()})
    assert settings.model_dump() == {name: value for name, (_, value) in EXAMPLES.items()}


def test_those_of_a_kind_of_feeds_are_read_for_it() -> None:
    own = PubNubSettings(origin="127.0.0.1:2", tls=False)
    assert read(**PUBNUB).part(PubNubSettings) == own
    assert read(**PUBNUB) == Settings().with_parts(own)
    assert Settings().part(PubNubSettings) == PubNubSettings()


def test_other_variables_and_empty_ones_are_passed_over() -> None:
    environment = {"PATH": "/bin", "HELIX_URL": "x", PREFIX + "HELIX_URL": ""}
    assert Settings.from_environment(environment) == Settings()


def test_unknown_variables_are_told_by_name_and_change_nothing() -> None:
    environment = {PREFIX + "HELIX_URI": "1", PREFIX + "TOKEN": "2", "OTHER": "3"}
    assert Settings.unknown(environment) == [PREFIX + "HELIX_URI", PREFIX + "TOKEN"]
    assert Settings.from_environment(environment) == Settings()


def test_known_variables_and_those_of_a_kubernetes_service_are_not_told() -> None:
    environment = {PREFIX + name.upper(): text for name, (text, _) in EXAMPLES.items()}
    environment |= {PREFIX + name.upper(): text for name, text in PUBNUB.items()}
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_METRICS", "PORT",
                 "PORT_8080_TCP", "PORT_8080_TCP_ADDR"):  # fmt: skip
        environment[PREFIX + name] = "1"
    assert Settings.unknown(environment) == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("helix_url", "api.twitch.tv/helix", "must begin with https://"),
        ("identity_url", "ftp://id.twitch.tv", "must begin with https://"),
        ("call_timeout", "5", "such as 90s, 1m30s or 250ms"),
        ("call_timeout", "-5s", "such as 90s, 1m30s or 250ms"),
        ("call_timeout", "0s", "greater than 0"),
        ("identity_concurrency", "0", "greater than or equal to 1"),
        ("identity_concurrency", "many", "must be a whole number"),
        ("shards", "3", "needs TWITCH_OPERATOR_LEADER_ELECTION=true"),
        ("shard", "1", "must be from 0 to 0: less than TWITCH_OPERATOR_SHARDS, which is 1"),
        ("pubnub_tls", "perhaps", "must be true or false"),
        ("log_format", "xml", "'text' or 'json'"),
        ("log_level", "debug", "'DEBUG'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(**{name: text})
    message = str(refusal.value)
    assert message.startswith(f"{PREFIX}{name.upper()}: ")
    assert told in message
    assert "Value error" not in message
    assert "\n" not in message


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        read(call_timeout="5", log_level="LOUD", helix_url="x")
    assert len(str(refusal.value).splitlines()) == 3


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().call_timeout = 1.0  # type: ignore[misc]
