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
    ValidationInfo,
    field_validator,
)

from controller.durations import parse_duration
from controller.errors import SettingsError
from controller.pydantic_messages import problem_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["PARTS", "PREFIX", "Part", "Seconds", "Settings"]

PREFIX = "TWITCH_OPERATOR_"

_OF_A_SERVICE = re.compile(PREFIX + r"(SERVICE_|PORT($|_)|SANDBOX_)")
_LEASE = 1.5  # the least lease, in times of a call and a second
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
"""Parts by their names, which follow the prefix in the names of their variables."""

P = TypeVar("P", bound=Part)
M = TypeVar("M", bound=BaseModel)


class Settings(BaseModel):
    """All that can be set from outside; durations in seconds (Go syntax in the environment)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    _parts: dict[type[Part], Part] = PrivateAttr(default_factory=dict)

    helix_url: BaseUrl = Field(
        "https://api.twitch.tv/helix", description="Base URL of Twitch's Helix API."
    )
    identity_url: BaseUrl = Field(
        "https://id.twitch.tv/oauth2", description="Base URL of Twitch's OAuth2 endpoints."
    )
    watch_namespaces: Namespaces = Field(
        (), description="Namespaces to watch, without patterns. Empty: all."
    )
    validate_interval: Seconds = Field(3600, description="Interval between validations of a token.")
    secret_check_interval: Seconds = Field(60, description="Interval between reads of a Secret.")
    missing_secret_check_interval: Seconds = Field(
        10, description="Interval between reads of a missing Secret."
    )
    live_check_interval: Seconds = Field(
        60, description="Interval between checks whether a channel is live and eligible."
    )
    ads_check_interval: Seconds = Field(
        60, description="Interval between reads of a live channel's ad schedule."
    )
    resync_interval: Seconds = Field(
        300,
        description="Interval between full lists of the resources, which find missed deletions.",
    )
    min_activation_delay: Seconds = Field(
        300,
        description="Minimum activationDelay of extension secrets. Twitch accepts at least 300 s.",
    )
    extension_check_interval: Seconds = Field(
        600, description="Interval between checks of an extension's secrets and configuration."
    )
    allowed_fetch_hosts: Names = Field(
        (),
        description="Hosts, or host:port, that URLs in resources may use although they are not "
        "public, and with http.",
    )
    gateway_address: str = Field(
        "0.0.0.0:8080",
        description="Address of the gateway, as host:port. Port 0: any free port.",
    )
    gateway_drain: Seconds = Field(
        5, description="How long the gateway accepts requests after SIGTERM."
    )
    gateway_timeout: Seconds = Field(5, description="Timeout of each call of the gateway.")
    status_interval: Seconds = Field(10, description="Minimum interval between writes of a status.")
    call_timeout: Seconds = Field(5, description="Timeout of a call to Twitch.")
    leader_election: bool = Field(
        False,
        description="Whether replicas elect a leader, by a Lease; the others stand by. Without it, "
        "one operator alone may run.",
    )
    lease_duration: Seconds = Field(
        10,
        description="Time after the leader's last renewal of the Lease until another replica "
        "leads. At least 1.5 times CALL_TIMEOUT + 1 s.",
    )
    shards: int = Field(
        1,
        ge=1,
        le=1000,
        validate_default=True,
        description="How many operators share the namespaces, each with its own SHARD. More than 1 "
        "needs LEADER_ELECTION.",
    )
    shard: int = Field(
        0,
        ge=0,
        validate_default=True,
        description="Which of the SHARDS this operator is: from 0 to SHARDS - 1.",
    )
    lease_name: str = Field(
        "twitch-operator", description="Name of the Lease. With shards: how its name begins."
    )
    lease_namespace: str = Field(
        "", description="Namespace of the Lease. Empty: that of the Pod, or of the context."
    )
    lease_identity: str = Field(
        "",
        description="Name of this replica in the Lease, such as the UID of its Pod: unique, and "
        "the same after a restart. Empty: a new one at each start.",
    )
    identity_timeout: Seconds = Field(15, description="Timeout of an OAuth call.")
    identity_concurrency: int = Field(
        20, ge=1, description="Maximum number of concurrent OAuth calls."
    )
    subscribe_timeout: Seconds = Field(
        60, description="Timeout of a long poll of a feed. The operator then repeats it."
    )
    feed_stale_after: Seconds = Field(
        150,
        description="Maximum age of the last completed poll. Beyond it, the feed is not connected.",
    )
    as_run_log: Literal["stdout", "none"] = Field(
        "stdout", description="Where to write the as-run log, in addition to files."
    )
    as_run_dir: str = Field(
        "", description="Folder for daily files of the as-run log. Empty: no files."
    )
    log_format: Literal["text", "json"] = Field("text", description="Format of the log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Minimum log level."
    )
    metrics_address: str = Field(
        "", description="Address of /metrics, as host:port. Port 0: any free port; empty: off."
    )
    health_address: str = Field(
        "",
        description="Address of /healthz and /readyz, host:port. Port 0: any free; empty: off.",
    )

    @field_validator("lease_duration")
    @classmethod
    def _leaves_time_to_call(cls, seconds: float, info: ValidationInfo) -> float:
        least = _LEASE * (info.data.get("call_timeout", 0.0) + 1)
        if info.data.get("leader_election") and seconds < least:
            msg = (
                f"must be at least {least:g} s with this {PREFIX}CALL_TIMEOUT: calls of the former"
                " leader must be over when another replica leads"
            )
            raise ValueError(msg)
        return seconds

    @field_validator("shards")
    @classmethod
    def _are_elected(cls, shards: int, info: ValidationInfo) -> int:
        if shards > 1 and info.data.get("leader_election") is False:
            msg = f"more than 1 needs {PREFIX}LEADER_ELECTION=true: set it, or leave this out"
            raise ValueError(msg)
        return shards

    @field_validator("shard")
    @classmethod
    def _is_one_of_them(cls, shard: int, info: ValidationInfo) -> int:
        shards = info.data.get("shards")
        if shards is not None and shard >= shards:
            msg = f"must be from 0 to {shards - 1}: less than {PREFIX}SHARDS, which is {shards}"
            raise ValueError(msg)
        return shard

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
