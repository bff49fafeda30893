"""Environment → frozen Settings: every base URL, interval and limit, in one place.

Each field is read from the environment variable of its name in capitals with the prefix
`TWITCH_OPERATOR_`, for example `TWITCH_OPERATOR_HELIX_URL`. A value that does not parse stops the
start with a message that names the variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotation at run time
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
)

from controller.durations import parse_duration
from controller.errors import SettingsError
from controller.faults import problem_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["PARTS", "PREFIX", "Part", "Settings"]

PREFIX = "TWITCH_OPERATOR_"

_OF_A_SERVICE = re.compile(PREFIX + r"(SERVICE_|PORT($|_)|SANDBOX_)")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _base_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        msg = "must begin with https:// (or http:// for a simulator on this machine)"
        raise ValueError(msg)
    return value.rstrip("/")


def _seconds(value: Any) -> Any:  # noqa: ANN401 - raw text of the environment, or a number already
    return parse_duration(value) if isinstance(value, str) else value


def _names(value: Any) -> Any:  # noqa: ANN401 - raw text of the environment, or a tuple already
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _namespaces(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [name for name in names if not _LABEL.fullmatch(name)]
    if wrong:
        msg = (
            f"{', '.join(map(repr, wrong))}: not the name of a namespace (small letters, digits and"
            " -, at most 63), and patterns are not possible: list the names, by comma, or leave the"
            " variable out to watch all namespaces"
        )
        raise ValueError(msg)
    return tuple(dict.fromkeys(names))


def _some(value: Any) -> Any:  # noqa: ANN401 - raw text of the environment, or a tuple already
    if isinstance(value, str) and value.strip() and not _names(value):
        msg = "has no name in it: leave the variable out to watch all namespaces"
        raise ValueError(msg)
    return value


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Namespaces = Annotated[Names, BeforeValidator(_some), AfterValidator(_namespaces)]


class Part(BaseModel):
    """Settings of a part that registers itself, such as a kind of feeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")


PARTS: Final[dict[str, type[Part]]] = {}
"""Parts by their names, which follow the prefix of the variables: `TWITCH_OPERATOR_PUBNUB_TLS`."""

P = TypeVar("P", bound=Part)
M = TypeVar("M", bound=BaseModel)


class Settings(BaseModel):
    """All that can be set from outside; durations in seconds (Go syntax in the environment)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    _parts: dict[type[Part], Part] = PrivateAttr(default_factory=dict)

    helix_url: BaseUrl = Field("https://api.twitch.tv/helix", description="Twitch's API.")
    identity_url: BaseUrl = Field("https://id.twitch.tv/oauth2", description="Twitch's OAuth.")
    watch_namespaces: Namespaces = Field((), description="Literal names, by comma; empty: all.")
    validate_interval: Seconds = Field(3600, description="Between two validations of a token.")
    secret_check_interval: Seconds = Field(60, description="Between two reads of a Secret.")
    missing_secret_check_interval: Seconds = Field(
        10, description="Between two looks for a Secret that is missing."
    )
    live_check_interval: Seconds = Field(
        60, description="Between two looks whether it is live, and eligible."
    )
    ads_check_interval: Seconds = Field(
        60, description="Between two looks at the ads of a live channel."
    )
    resync_interval: Seconds = Field(
        300, description="Between two lists of all resources, which find a missed deletion."
    )
    min_activation_delay: Seconds = Field(
        300, description="Least delay of a new extension secret: Twitch takes none below 300 s."
    )
    extension_check_interval: Seconds = Field(
        600, description="Between two looks at Twitch for an extension's secrets and configuration."
    )
    allowed_fetch_hosts: Names = Field(
        (),
        description="Hosts, or host:port, by comma: URLs from resources may name these though they "
        "are not public, and by http.",
    )
    gateway_address: str = Field(
        "0.0.0.0:8080",
        description="host:port of the gateway (port 0: any).",
    )
    gateway_drain: Seconds = Field(
        5, description="After SIGTERM, how long the gateway goes on before it takes no more."
    )
    gateway_timeout: Seconds = Field(5, description="For the gateway's calls, each.")
    status_interval: Seconds = Field(10, description="Between two coalesced status writes.")
    call_timeout: Seconds = Field(5, description="For one call to Twitch.")
    identity_timeout: Seconds = Field(15, description="For one OAuth call.")
    identity_concurrency: int = Field(20, ge=1, description="OAuth calls under way at once.")
    subscribe_timeout: Seconds = Field(
        60, description="After which a silent long poll of a feed is asked anew."
    )
    feed_stale_after: Seconds = Field(
        150, description="A feed whose last completed poll is older counts as not connected."
    )
    as_run_log: Literal["stdout", "none"] = Field(
        "stdout", description="Where the lines of the as-run log go, beside the files."
    )
    as_run_dir: str = Field("", description="Folder for the as-run log's daily files; empty: none.")
    log_format: Literal["text", "json"] = Field("text", description="Form of the log lines.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )
    metrics_address: str = Field(
        "", description="host:port for /metrics (port 0: any); empty: none."
    )
    health_address: str = Field(
        "", description="host:port for /healthz, /readyz (port 0: any); empty: none."
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Args:
            environment: Such as `os.environ`; an empty value counts as unset.

        Raises:
            SettingsError: A value cannot be used.
        """
        faults: list[str] = []
        settings = _read(cls, PREFIX, environment, faults)
        parts = [
            _read(part, f"{PREFIX}{name.upper()}_", environment, faults)
            for name, part in PARTS.items()
        ]
        if settings is None or faults:
            raise SettingsError("\n".join(faults))
        return settings.with_parts(*(part for part in parts if part is not None))

    def with_parts(self, *parts: Part) -> Self:
        """Return a copy with the settings of some parts."""
        copy = self.model_copy()
        # Defaults are left out, so that what says the same is equal.
        given = {type(part): part for part in parts if part != type(part)()}
        copy._parts = {**self._parts, **given}  # noqa: SLF001 - of its own class
        return copy

    def part(self, model: type[P]) -> P:
        """Return the settings of a part."""
        found = self._parts.get(model)
        return found if isinstance(found, model) else model()

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """All settings, by the names of their variables."""
        models = {PREFIX: cls} | {f"{PREFIX}{name.upper()}_": part for name, part in PARTS.items()}
        return {
            prefix + name.upper(): field
            for prefix, model in models.items()
            for name, field in model.model_fields.items()
        }

    @classmethod
    def unknown(cls, environment: Mapping[str, str]) -> list[str]:
        """Names with the prefix that are no settings, and are not Kubernetes' own.

        A Service called twitch-operator puts variables like TWITCH_OPERATOR_SERVICE_HOST into
        every Pod of its namespace, so an unknown name is told and not refused.
        """
        known = cls.variables()
        return sorted(
            name
            for name in environment
            if name.startswith(PREFIX) and name not in known and not _OF_A_SERVICE.match(name)
        )


def _read(
    model: type[M], prefix: str, environment: Mapping[str, str], faults: list[str]
) -> M | None:
    """Read the settings of a model; what cannot be used is added to the faults."""
    given = {
        field: text
        for field in model.model_fields
        if (text := environment.get(prefix + field.upper()))
    }
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults += [
            f"{prefix}{str(fault['loc'][0]).upper()}: {problem_of(fault)}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        return None
