"""What OpenTelemetry's variables say about traces."""

from __future__ import annotations

import pytest

from controller.tracing.variables import traces_wanted

ALL, OURS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
URL = {ALL: "http://collector:4318"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ALL: ""},
        {ALL: " "},
        {"OTEL_SERVICE_NAME": "twitch"},
        {"OTEL_METRICS_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "none"},
        URL | {"OTEL_TRACES_EXPORTER": "none"},
        URL | {"OTEL_SDK_DISABLED": "true"},
        URL | {"OTEL_SDK_DISABLED": " TRUE "},
        {"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_sent_where_nothing_is_wanted(environment: dict[str, str]) -> None:
    wanted = traces_wanted(environment)
    assert (wanted.on, wanted.problem) == (False, "")


@pytest.mark.parametrize(
    "environment",
    [
        URL,
        {OURS: "https://collector/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        URL | {"OTEL_SDK_DISABLED": "false"},
        URL | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        URL
        | {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        },
        {ALL: "collector:4317", OURS: "https://collector/v1/traces"},
    ],
)
def test_traces_are_sent_where_they_are_wanted(environment: dict[str, str]) -> None:
    wanted = traces_wanted(environment)
    assert (wanted.on, wanted.problem) == (True, "")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin is unknown: use otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, "OTEL_TRACES_EXPORTER=otlp,console is unknown"),
        ({ALL: "collector:4318"}, f"{ALL} must begin with http:// or https://"),
        (URL | {OURS: "//collector"}, f"{OURS} must begin with http://"),
        (
            URL | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not possible: use http/protobuf",
        ),
        (
            URL | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json is not possible",
        ),
    ],
)
def test_what_cannot_be_is_told_with_variable_and_remedy(
    environment: dict[str, str], told: str
) -> None:
    wanted = traces_wanted(environment)
    assert not wanted.on
    assert wanted.problem.startswith(told)
