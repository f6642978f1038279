"""What a publisher has to know: its arguments, else the variables of the environment that nodes read, else defaults."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TypedDict, Unpack
from urllib.parse import urlsplit

from ..shared.redis_urls import HTTP_SCHEMES, REDIS_SCHEMES
from ..shared.variables import PREFIX, own_variables
from .errors import InvalidSettings

TIMEOUT = 5.0
"""Seconds that a call takes at most, with all its tries: as long as a Redis that fails over is away at least."""
TIMEOUT_MIN, TIMEOUT_MAX = 0.05, 3600.0
"""Seconds."""
_OVER_HTTP = frozenset({"url", "api_key", "timeout"})
_find_bad_key_character = re.compile(r"[^!-~]").search
_is_prefix = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch


class PublisherOptions(TypedDict, total=False):
    """The arguments of a publisher besides its URL. What is left out is read from the environment."""

    api_key: str
    """Of the HTTP API; TANNOY_API_KEY."""
    timeout: float
    """Seconds that a call may take, with all its tries."""
    redis_prefix: str
    """TANNOY_REDIS_PREFIX, as the nodes have it."""
    redis_credentials: str
    """TANNOY_REDIS_CREDENTIALS: `module:attribute` of a CredentialProvider of redis-py."""
    cluster_secret: str
    """TANNOY_CLUSTER_SECRET, as the nodes have it."""
    history_size: int
    """TANNOY_HISTORY_SIZE, as the nodes have it; 0: no history."""
    history_ttl: int
    """TANNOY_HISTORY_TTL, as the nodes have it, in seconds."""
    message_max_bytes: int
    """TANNOY_MESSAGE_MAX_BYTES: of the content of a message, as JSON."""
    stream_max_bytes: int
    """TANNOY_STREAM_MAX_BYTES: of the text of a stream."""
    stream_timeout: int
    """TANNOY_STREAM_TIMEOUT: seconds without a piece until a stream is lost."""
    streams_open_max: int
    """TANNOY_STREAMS_OPEN_MAX: streams that may be open in a channel."""


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """All of them, checked. Names, defaults and ranges are those of `Settings`, but for `url` and `timeout`."""

    url: str = field(repr=False)
    api_key: str = field(default="", repr=False)
    timeout: float = TIMEOUT
    redis_prefix: str = "tannoy"
    redis_credentials: str = ""
    cluster_secret: str = field(default="", repr=False)
    history_size: int = 100
    history_ttl: int = 300
    message_max_bytes: int = 65_536
    stream_max_bytes: int = 1_048_576
    stream_timeout: int = 60
    streams_open_max: int = 32

    @property
    def is_http(self) -> bool:
        return self.url.partition("://")[0] in HTTP_SCHEMES


INTEGER_RANGES = {
    "history_size": (0, 10_000),
    "history_ttl": (1, 30 * 86_400),
    "message_max_bytes": (128, 16_777_216),
    "stream_max_bytes": (1024, 16_777_216),
    "stream_timeout": (1, 86_400),
    "streams_open_max": (1, 1000),
}
"""Those of `Settings`: a test compares them."""
DEFAULT_URL = "redis://127.0.0.1:6379"


def read_settings(
    url: str | None, environment: Mapping[str, str] = os.environ, **options: Unpack[PublisherOptions]
) -> PublisherSettings:
    """`options` count before the environment, and that before the defaults. Raises InvalidSettings.

    The file `.env` is not read: nodes do that, and the environment of a back end is its own.
    """
    variables = own_variables(environment)
    found = url if url is not None else variables.get(f"{PREFIX}REDIS_URL", DEFAULT_URL)
    values: dict[str, object] = {"url": _check_url(found)}
    over_http = found.partition("://")[0] in HTTP_SCHEMES
    allowed = {each.name for each in fields(PublisherSettings)} - {"url"}
    if unknown := options.keys() - allowed:
        raise InvalidSettings(f"no argument {', '.join(sorted(unknown))}: allowed are {' '.join(sorted(allowed))}")
    for name in sorted(allowed):
        if (given := options.get(name)) is not None:
            _check_use(name, over_http)
            values[name] = _check(name, name, given)
        elif name != "timeout" and (text := variables.get(PREFIX + name.upper())) is not None:
            values[name] = _check(name, PREFIX + name.upper(), text)
    return PublisherSettings(**values)  # type: ignore[arg-type]  # each was checked by its name


def _check_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or not rest or scheme not in (*REDIS_SCHEMES, *HTTP_SCHEMES):
        known = ", ".join(f"{name}://" for name in (*REDIS_SCHEMES, *HTTP_SCHEMES))
        raise InvalidSettings(f"the URL of a publisher has to begin with one of {known}")
    if scheme in HTTP_SCHEMES and not _is_good_http(url):
        raise InvalidSettings(
            "the URL of a cluster has to be http://HOST:PORT or https://HOST:PORT, with a path or without, and with no "
            "user, password, query or fragment: the key of the HTTP API is the argument api_key"
        )
    return url


def _is_good_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    is_plain = parts.username is None and not parts.query and not parts.fragment
    return bool(parts.hostname) and is_plain and url.isascii() and url.isprintable() and " " not in url


def _check_use(name: str, over_http: bool) -> None:
    if over_http and name not in _OVER_HTTP:
        raise InvalidSettings(f"{name} has no effect over HTTP: the nodes have a setting of their own for it")
    if not over_http and name == "api_key":
        raise InvalidSettings("api_key has no effect with the URL of Redis: it is for http:// and https://")


def _check(name: str, shown: str, value: object) -> object:
    """`shown` is the name by which the error names it: of the argument, or of the variable."""
    if name in INTEGER_RANGES:
        return _integer(shown, value, *INTEGER_RANGES[name])
    if name == "timeout":
        return _seconds(shown, value)
    if not isinstance(value, str):
        raise InvalidSettings(f"{shown} has to be a string, not {type(value).__name__}")
    if (check := _TEXT_CHECKS.get(name)) is not None and (wrong := check(value)) is not None:
        raise InvalidSettings(f"{shown} {wrong}")
    return value


def _integer(shown: str, value: object, least: int, most: int) -> int:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise InvalidSettings(f"{shown}={value!r:.40} has to be an integer from {least} to {most}")
    return number


def _seconds(shown: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not TIMEOUT_MIN <= value <= TIMEOUT_MAX:
        raise InvalidSettings(
            f"{shown}={value!r:.40} has to be a number of seconds from {TIMEOUT_MIN} to {TIMEOUT_MAX:g}"
        )
    return float(value)


def _check_prefix(value: str) -> str | None:
    return None if _is_prefix(value) else f"={value!r:.80} has to have 1 to 64 characters out of A-Z a-z 0-9 _ . -"


def _check_api_key(value: str) -> str | None:
    if _find_bad_key_character(value) is None:
        return None
    return "has to consist of visible ASCII characters, since it is sent in an HTTP header"


_TEXT_CHECKS: dict[str, Callable[[str], str | None]] = {"redis_prefix": _check_prefix, "api_key": _check_api_key}
