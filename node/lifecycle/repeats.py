"""Which records are logged when many are alike: the first of a kind in a second, and then how many more there were.

What a client sends, or what is in Redis, may cause a record each. The first one tells what is wrong.
"""

import logging
import sys
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, cast

WINDOW_SECONDS = 1.0
"""From the first record of a kind on, in which further ones are counted."""
KINDS_MAX = 1000
"""Kinds in one window; all further ones are one kind."""
_EVENT_MAX = 200
"""Characters of an event that make its kind: other software puts values into it."""


@dataclass(slots=True)
class Window:
    """The second after the first record of a kind."""

    logger: str
    event: str
    ends: float
    repeats: int = 0


class RepeatFilter:
    """Counts, by kind, the records that are not to be logged."""

    def __init__(self) -> None:
        self._windows: OrderedDict[Hashable, Window] = OrderedDict()  # the one that ends first is in front

    def admit(self, logger: str, event: str, detail: Hashable, now: float) -> bool:
        """Whether to log this record. Its kind: the logger, the event, and what `detail` has. Time never goes back.

        Call `take_ended` before, so that a kind whose window has ended is logged again.
        """
        kind: Hashable = (logger, event, detail)
        if (window := self._windows.get(kind)) is None and len(self._windows) >= KINDS_MAX:
            kind, logger, event = None, "tannoy.logs", "records of many kinds"
            window = self._windows.get(kind)
        if window is None:
            self._windows[kind] = Window(logger, event, now + WINDOW_SECONDS)
            return True
        window.repeats += 1
        return False

    def take_ended(self, now: float) -> list[Window]:
        """Remove the windows that have ended. Returns those with records that were not logged."""
        ended: list[Window] = []
        while self._windows and (first := next(iter(self._windows.values()))).ends <= now:
            self._windows.popitem(last=False)
            if first.repeats:
                ended.append(first)
        return ended

    def has_repeats(self) -> bool:
        return any(window.repeats for window in self._windows.values())


def find_kind(record: logging.LogRecord) -> tuple[str, Hashable]:
    """The event of a record, and what else tells two kinds apart: the Redis server, and the type of an exception."""
    message: object = record.msg
    if isinstance(message, dict):  # by structlog
        fields = cast("dict[str, Any]", message)
        event, server, exception = fields.get("event"), fields.get("redis"), fields.get("exc_info")
    else:
        event, server, exception = message, None, record.exc_info
    return f"{event!s:.{_EVENT_MAX}}", (server, _type_of(exception))


def _type_of(exception: object) -> object:
    """`exception` is what `exc_info` may be: True for the one that is handled."""
    if isinstance(exception, BaseException):
        return type(exception)
    if isinstance(exception, tuple):
        return cast("tuple[object, ...]", exception)[0]
    return sys.exc_info()[0] if exception else None
