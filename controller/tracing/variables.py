"""What the variables of OpenTelemetry say about traces: on, off, or not possible here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TracesWanted", "traces_wanted"]

_OTLP = "OTEL_EXPORTER_OTLP_"
_HTTP = "http/protobuf"


@dataclass(frozen=True, slots=True)
class TracesWanted:
    """Whether traces are wanted.

    Attributes:
        on: They are, and can be sent.
        problem: Why they cannot be sent although they are wanted, with the remedy; "": they can,
            or are not wanted.
    """

    on: bool
    problem: str = ""


def traces_wanted(environment: Mapping[str, str]) -> TracesWanted:
    """Read the variables; an empty one counts as unset."""
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    endpoint, exporter = _either(given, "ENDPOINT"), given.get("OTEL_TRACES_EXPORTER")
    disabled = given.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or exporter == "none" or (exporter is None and endpoint is None):
        return TracesWanted(on=False)
    if exporter not in (None, "otlp"):
        return TracesWanted(False, f"OTEL_TRACES_EXPORTER={exporter} is unknown: use otlp or none")
    if endpoint is not None and not endpoint[1].startswith(("http://", "https://")):
        told = f"{endpoint[0]} must begin with http:// or https://, such as http://collector:4318"
        return TracesWanted(False, told)
    protocol = _either(given, "PROTOCOL")
    if protocol is not None and protocol[1] != _HTTP:
        told = (
            f"{protocol[0]}={protocol[1]} is not possible: use {_HTTP}, and the port on which the"
            " collector takes it, which is 4318 as a rule"
        )
        return TracesWanted(False, told)
    return TracesWanted(on=True)


def _either(given: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """The variable for traces, else the one for all signals, with its value."""
    for variable in (f"{_OTLP}TRACES_{name}", f"{_OTLP}{name}"):
        if variable in given:
            return variable, given[variable]
    return None
