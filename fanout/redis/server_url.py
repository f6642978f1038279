"""The URL of a single server as redis-py reads it. Imported where it is first needed, because redis-py takes 75 ms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from redis.asyncio.connection import parse_url


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """`host` and `port` are None where the URL has none; so are user and password."""

    host: str | None
    port: int | None
    path: str | None
    """Of a Unix socket."""
    username: str | None
    password: str | None = field(repr=False)
    database: int


def read_url(url: str) -> ServerUrl:
    """The parts of a URL of redis://, rediss:// or unix:// as redis-py reads it.

    Raises ValueError without a cause or a text: those of redis-py quote parts of the password.
    """
    try:
        parts = cast("Mapping[str, Any]", parse_url(url))
    except ValueError:
        raise ValueError from None
    return ServerUrl(
        host=parts.get("host"),
        port=parts.get("port"),
        path=parts.get("path"),
        username=parts.get("username"),
        password=parts.get("password"),
        database=parts.get("db", 0),
    )
