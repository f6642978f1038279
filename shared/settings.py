"""Settings: read once from the environment (prefix `TANNOY_`) or `.env`, checked, frozen.

The names are those of `docs/protocol.md §8`. Settings that have no effect in this version are listed in
`NOT_IN_EFFECT`, and a node that finds one set says so at start.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import BadName, StartError
from .names import parse_node
from .policy import LimitMode, LimitPolicy, SlowPolicy

PREFIX = "TANNOY_"

REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)

LIMIT_MAX = 100_000
"""The highest limit of sessions of an agent or user: all of them are listed in one answer."""

HISTORY_MAX = 10_000
"""The highest number of messages kept per channel: a recovery reads them all at once."""

NOT_IN_EFFECT = frozenset(
    "JWT_SECRET JWT_PUBLIC_KEY JWT_ALGORITHMS JWT_AUDIENCE JWT_ISSUER AUTH_QUERY_TOKEN"
    " RATE_MESSAGES RATE_CONNECTS MEMORY_MAX_MB CPU_MAX_PERCENT LOOP_LAG_MAX_MS DRAIN_SECONDS".split()
)


_is_origin = re.compile(r"https?://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?").fullmatch


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class Settings(BaseSettings):
    """One node's settings. Sizes are in bytes, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379")
    redis_prefix: str = Field("tannoy", pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    node_id: str | None = None
    cluster_secret: SecretStr = SecretStr("")

    auth: Literal["none", "jwt"] = "none"
    api_key: SecretStr = SecretStr("")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()

    message_max_bytes: int = Field(65_536, ge=128, le=16_777_216)
    outbox_max_bytes: int = Field(1_048_576, ge=4096, le=1_073_741_824)
    slow_policy: SlowPolicy = SlowPolicy.DISCONNECT
    ping_interval: float = Field(25.0, ge=1, le=3600)

    agent_max_sessions: int = Field(10, ge=1, le=LIMIT_MAX)
    agent_limit_policy: LimitPolicy = LimitPolicy.REJECT
    user_max_sessions: int = Field(0, ge=0, le=LIMIT_MAX)
    node_max_sessions: int = Field(20_000, ge=1, le=10_000_000)
    limit_mode: LimitMode = LimitMode.STRICT

    history_size: int = Field(100, ge=0, le=HISTORY_MAX)
    history_ttl: int = Field(300, ge=1, le=30 * 86_400)

    presence_inline_max: int = Field(50, ge=0, le=1000)
    presence_events_max: int = Field(1000, ge=0, le=100_000)
    presence_grace: float = Field(5.0, ge=0, le=3600)

    log_format: LogFormat = LogFormat.CONSOLE
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_file: Path | None = None

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: SecretStr) -> SecretStr:
        scheme, separator, _ = value.get_secret_value().partition("://")
        known = ", ".join(f"{name}://" for name in REDIS_SCHEMES)
        if not separator or scheme not in REDIS_SCHEMES:
            raise ValueError(f"has to begin with one of {known}")
        return value

    @field_validator("auth")
    @classmethod
    def _known_auth(cls, value: str) -> str:
        if value == "jwt":
            raise ValueError("jwt is not available yet: only none is")
        return value

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
        if not isinstance(value, str):
            return value
        origins = tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())
        for origin in origins:
            if origin != "*" and not _is_origin(origin):
                raise ValueError(
                    f"{origin!r} is not an origin: scheme://host[:port], separated by commas, or * for any"
                )
        return origins

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` that are not None take precedence.

    Raises StartError with a line for each bad value: its name, the value (unless secret), and what is allowed.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        # Without its cause, which contains the values of secrets.
        raise StartError("\n".join(_describe_error(problem) for problem in error.errors())) from None


def _describe_error(problem: Mapping[str, Any]) -> str:
    name = str(problem["loc"][0])
    secret = Settings.model_fields[name].annotation is SecretStr
    shown = "" if secret else f"={problem['input']}"
    return f"{PREFIX}{name.upper()}{shown}: {problem['msg'].removeprefix('Value error, ')}"


def find_setting_names(environment: Mapping[str, str]) -> set[str]:
    """All names with the prefix `TANNOY_` in the environment and in `.env`, in upper case."""
    in_file = dotenv_values(".env") if Path(".env").is_file() else {}
    return {name.upper() for name in (*environment, *in_file) if name.upper().startswith(PREFIX)}


def settings_without_effect(names: Iterable[str]) -> list[str]:
    """Those of `names` that are known and have no effect in this version, sorted."""
    return sorted(name for name in names if name.removeprefix(PREFIX) in NOT_IN_EFFECT)


def unknown_settings(names: Iterable[str]) -> list[str]:
    """Those of `names` that are not settings, most likely misspelt; sorted."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + name for name in NOT_IN_EFFECT}
    return sorted(name for name in names if name not in known)
