"""Settings: read once from the environment (prefix `TANNOY_`) or `.env`, checked, frozen.

The names are those of `docs/protocol.md §8`."""

import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from .archived_channels import ArchivedChannels, parse_patterns
from .errors import BadName, StartError
from .hook_events import CHOOSABLE, HookEvent, parse_events
from .ip_addresses import IpNetwork, parse_network
from .names import parse_node
from .origins import check_allowed_origin
from .policy import LimitMode, LimitPolicy, SlowPolicy
from .rates import NO_LIMIT, Rate, parse_rate
from .redis_urls import REDIS_SCHEMES
from .variables import PREFIX, is_service_link, read_variables

LIMIT_MAX = 100_000
"""The highest limit of sessions of an agent or user: all of them are listed in one answer."""

HISTORY_MAX = 10_000
"""The highest number of messages kept per channel: a recovery reads them all at once."""

JwtAlgorithm = Literal["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"]

_RATES = ("rate_connects", "rate_messages", "rate_commands", "rate_bytes", "rate_user_messages", "rate_agent_messages")


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class SettingValues(TypedDict, total=False):
    """The arguments of Settings, as a program writes them."""

    redis_url: str | SecretStr
    redis_credentials: str | None
    redis_prefix: str
    host: str
    port: int
    node_id: str | None
    cluster_secret: str | SecretStr
    auth: Literal["none", "jwt", "hook"]
    auth_query_token: bool
    jwt_secret: str | SecretStr
    jwt_public_key: str
    jwks_url: str
    jwt_algorithms: str | Iterable[str]
    jwt_audience: str
    jwt_issuer: str
    api_key: str | SecretStr
    allowed_origins: str | Iterable[str]
    trusted_proxies: str | Iterable[str | IpNetwork]
    chat_page: Literal["auto", "on", "off"]
    message_max_bytes: int
    outbox_max_bytes: int
    slow_policy: Literal["disconnect", "skip"] | SlowPolicy
    ping_interval: float
    agent_max_sessions: int
    agent_limit_policy: Literal["reject", "evict_oldest"] | LimitPolicy
    user_max_sessions: int
    node_max_sessions: int
    memory_max_mb: int | None
    cpu_max_percent: int
    loop_lag_max_ms: int
    limit_mode: Literal["strict", "available"] | LimitMode
    rate_connects: str | Literal[0] | Rate
    rate_messages: str | Literal[0] | Rate
    rate_commands: str | Literal[0] | Rate
    rate_bytes: str | Literal[0] | Rate
    rate_user_messages: str | Literal[0] | Rate
    rate_agent_messages: str | Literal[0] | Rate
    history_size: int
    history_ttl: int
    stream_max_bytes: int
    stream_timeout: int
    streams_open_max: int
    archive: str | Iterable[str]
    archive_backlog: int
    database_url: str | SecretStr
    database_pool: int
    database_timeout: float
    hook_url: str | SecretStr
    hook_auth_url: str | SecretStr
    hook_secret: str | SecretStr
    hook_events: str | Iterable[str]
    hook_messages: str | Iterable[str]
    hook_backlog: int
    hook_timeout: float
    hook_retry_seconds: int
    hook_networks: str | Iterable[str | IpNetwork]
    hook_http2: bool
    presence_inline_max: int
    presence_events_max: int
    presence_grace: float
    drain_delay: float
    drain_seconds: float
    log_format: Literal["console", "json"] | LogFormat
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    log_file: str | Path | None
    log_file_max_mb: int
    log_files_kept: int


class Settings(BaseModel):
    """One node's settings: the arguments, and the defaults of all others. Sizes are in bytes, times in seconds.

    `load_settings` reads those of the environment.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)

    if TYPE_CHECKING:  # without it, type checkers ask for values of the fields' own types, such as SecretStr

        def __init__(self, **values: Unpack[SettingValues]) -> None: ...

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379")
    redis_credentials: str | None = None
    redis_prefix: str = Field(default="tannoy", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=1, le=65535)
    node_id: str | None = None
    cluster_secret: SecretStr = SecretStr("")

    auth: Literal["none", "jwt", "hook"] = "none"
    auth_query_token: bool = False
    jwt_secret: SecretStr = SecretStr("")
    jwt_public_key: str = ""
    jwks_url: str = ""
    jwt_algorithms: tuple[JwtAlgorithm, ...] = ()
    jwt_audience: str = ""
    jwt_issuer: str = ""
    api_key: SecretStr = SecretStr("")
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[IpNetwork, ...] = ()
    chat_page: Literal["auto", "on", "off"] = "auto"

    message_max_bytes: int = Field(default=65_536, ge=128, le=16_777_216)
    outbox_max_bytes: int = Field(default=1_048_576, ge=4096, le=1_073_741_824)
    slow_policy: SlowPolicy = SlowPolicy.DISCONNECT
    ping_interval: float = Field(default=25.0, ge=1, le=3600)

    agent_max_sessions: int = Field(default=10, ge=1, le=LIMIT_MAX)
    agent_limit_policy: LimitPolicy = LimitPolicy.REJECT
    user_max_sessions: int = Field(default=0, ge=0, le=LIMIT_MAX)
    node_max_sessions: int = Field(default=20_000, ge=1, le=10_000_000)
    limit_mode: LimitMode = LimitMode.STRICT

    memory_max_mb: int | None = Field(default=None, ge=0, le=100_000_000)
    cpu_max_percent: int = Field(default=0, ge=0, le=100)
    loop_lag_max_ms: int = Field(default=1000, ge=0, le=60_000)

    rate_connects: Rate = Rate(20)
    rate_messages: Rate = Rate(50)
    rate_commands: Rate = Rate(200)
    rate_bytes: Rate = Rate(1_048_576)
    rate_user_messages: Rate = NO_LIMIT
    rate_agent_messages: Rate = NO_LIMIT

    history_size: int = Field(default=100, ge=0, le=HISTORY_MAX)
    history_ttl: int = Field(default=300, ge=1, le=30 * 86_400)

    stream_max_bytes: int = Field(default=1_048_576, ge=1024, le=16_777_216)
    stream_timeout: int = Field(default=60, ge=1, le=86_400)
    streams_open_max: int = Field(default=32, ge=1, le=1000)

    archive: tuple[str, ...] = ()
    archive_backlog: int = Field(default=100_000, ge=1000, le=100_000_000)
    database_url: SecretStr = SecretStr("sqlite:///tannoy-archive.db")
    database_pool: int = Field(default=5, ge=1, le=100)
    database_timeout: float = Field(default=5.0, ge=0.1, le=300)

    hook_url: SecretStr = SecretStr("")
    hook_auth_url: SecretStr = SecretStr("")
    hook_secret: SecretStr = SecretStr("")
    hook_events: tuple[HookEvent, ...] = CHOOSABLE
    hook_messages: tuple[str, ...] = ()
    hook_backlog: int = Field(default=100_000, ge=1000, le=100_000_000)
    hook_timeout: float = Field(default=5.0, ge=0.1, le=60)
    hook_retry_seconds: int = Field(default=86_400, ge=1, le=30 * 86_400)
    hook_networks: tuple[IpNetwork, ...] = ()
    hook_http2: bool = False

    presence_inline_max: int = Field(default=50, ge=0, le=1000)
    presence_events_max: int = Field(default=1000, ge=0, le=100_000)
    presence_grace: float = Field(default=5.0, ge=0, le=3600)
    drain_delay: float = Field(default=5.0, ge=0, le=3600)
    drain_seconds: float = Field(default=30.0, ge=0, le=3600)

    log_format: LogFormat = LogFormat.CONSOLE
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_file: Path | None = None
    log_file_max_mb: int = Field(default=100, ge=0, le=1_000_000)
    log_files_kept: int = Field(default=5, ge=0, le=1000)

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: SecretStr) -> SecretStr:
        scheme, separator, _ = value.get_secret_value().partition("://")
        known = ", ".join(f"{name}://" for name in REDIS_SCHEMES)
        if not separator or scheme not in REDIS_SCHEMES:
            raise ValueError(f"has to begin with one of {known}")
        return value

    @field_validator("redis_credentials")
    @classmethod
    def _module_and_attribute(cls, value: str | None) -> str | None:
        module, _, attribute = (value or "m:a").partition(":")
        if not all(word.isidentifier() for word in (*module.split("."), *attribute.split("."))):
            raise ValueError("has to be module:attribute, for instance my_company.redis:Credentials")
        return value or None

    @field_validator("jwt_algorithms", mode="before")
    @classmethod
    def _algorithms(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("node_id")
    @classmethod
    def _node_name(cls, value: str | None) -> str | None:
        try:
            return None if value is None else parse_node(value)
        except BadName as error:
            raise ValueError(error.message) from error

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        listed: Any = value.split(",") if isinstance(value, str) else value
        origins = tuple(origin.strip().rstrip("/") for origin in listed if origin.strip())
        for origin in origins:
            check_allowed_origin(origin)
        return origins

    @field_validator(*_RATES, mode="before")
    @classmethod
    def _rate(cls, value: object) -> object:
        return value if isinstance(value, Rate) else parse_rate(str(value))

    @field_validator("archive", "hook_messages", mode="before")
    @classmethod
    def _patterns(cls, value: object) -> object:
        listed: Any = value.split(",") if isinstance(value, str) else value
        return parse_patterns(listed)

    @property
    def archived_channels(self) -> ArchivedChannels:
        return ArchivedChannels(self.archive, self.archive_backlog)

    @field_validator("hook_events", mode="before")
    @classmethod
    def _events(cls, value: object) -> object:
        listed: Any = value.split(",") if isinstance(value, str) else value
        return parse_events(listed)

    @field_validator("trusted_proxies", "hook_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        listed: Any = value.split(",") if isinstance(value, str) else value
        return tuple(parse_network(str(entry).strip()) for entry in listed if str(entry).strip())

    @field_validator("api_key")
    @classmethod
    def _fits_into_a_header(cls, value: SecretStr) -> SecretStr:
        if not all("!" <= character <= "~" for character in value.get_secret_value()):
            raise ValueError("has to consist of visible ASCII characters, since callers send it in an HTTP header")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment and `.env`; `overrides` that are not None take precedence.

    Raises StartError with a line for each bad value: its name, the value (unless secret), and what is allowed.
    """
    variables = read_variables(os.environ)
    read: dict[str, Any] = {
        field: variables[name]
        for field in Settings.model_fields
        if (name := PREFIX + field.upper()) in variables and not is_service_link(name, variables[name])
    }
    try:
        return Settings.model_validate(read | {name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        # Without its cause, which contains the values of secrets.
        raise StartError("\n".join(_describe_error(problem) for problem in error.errors())) from None


def _describe_error(problem: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    secret = Settings.model_fields[name].annotation is SecretStr
    # A value that is not UTF-8 is in the environment with surrogates, which no terminal can print.
    shown = "" if secret else f"={problem['input']}".encode(errors="backslashreplace").decode()
    return f"{PREFIX}{name.upper()}{shown}: {problem['msg'].removeprefix('Value error, ')}"


def find_service_links(variables: Mapping[str, str]) -> list[str]:
    """The names of those variables that Kubernetes has set and that are no settings, sorted."""
    return sorted(name for name, value in variables.items() if is_service_link(name, value))


def unknown_settings(names: Iterable[str]) -> list[str]:
    """Those of `names` that are not settings, most likely misspelt; sorted."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in names if name not in known)
