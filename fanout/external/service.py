"""What everything that this process depends on outside of it can do, whatever it is: Redis, a database, a target."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from .breaker import BreakerStatistics
from .window import WindowStatistics


class ExternalService(Protocol):
    """`is_required`: without it nothing starts. An optional one may come later: `check` then finds it."""

    name: str
    address: str
    """Where it is, without credentials."""
    is_required: bool

    async def open(self) -> None:
        """Connect, and find out whether it can be used. Raises StartError. `close` follows, whatever happens."""
        ...

    async def check(self) -> None:
        """Ask it, over the path that work takes; connect first if `open` could not. Raises Unavailable."""
        ...

    async def close(self) -> None:
        """End what was opened. The caller bounds the time."""
        ...

    def statistics(self) -> "WorkStatistics": ...


@dataclass(frozen=True, slots=True)
class WorkStatistics:
    """What a service tells of itself."""

    connections: int
    """That are open now."""
    in_use: int
    """Of these, or commands without an answer where all share one connection."""
    acquired: WindowStatistics
    """Times to get a connection for a piece of work; of those that got one."""
    breakers: Mapping[str, BreakerStatistics]
    """By class of work."""


class ServiceEvent(StrEnum):
    OPENED = "opened"
    NOT_OPENED = "not_opened"  # at start; an optional one is looked for again
    LOST = "lost"  # a check has failed, after one that had not
    RECOVERED = "recovered"
    CLOSED = "closed"
    CLOSE_TIMED_OUT = "close_timed_out"


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    at: str
    """RFC 3339."""
    event: ServiceEvent
    reason: str
    """Why; empty where nothing is wrong."""


@dataclass(frozen=True, slots=True)
class ServiceStatistics:
    address: str
    is_usable: bool
    """The last check has succeeded."""
    checks: int
    checks_failed: int
    checked: WindowStatistics
    """Times of checks that have succeeded."""
    events: tuple[RecordedEvent, ...]
    """The latest ones, oldest first."""
    work: WorkStatistics


def without_credentials(url: str) -> str:
    """A URL as it may be shown: without user, password, query and fragment.

    Of a text that is no URL, only that it is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "(not a URL)"
    if not parts.scheme:
        return "(not a URL)"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path}"
