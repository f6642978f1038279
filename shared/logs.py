"""Loggers of the standard library whose records have named fields besides their text.

All that a program may use without running a node logs here: how its logs look is then up to the program. A node
(`node/lifecycle/logs.py`) writes each field under its name.
"""

import logging


class Event(dict[str, object]):
    """The `msg` of a record: the text under `event`, and the fields by their names."""

    def __str__(self) -> str:
        fields = " ".join(f"{name}={value}" for name, value in self.items() if name != "event")
        return f"{self['event']}: {fields}" if fields else str(self["event"])


class EventLogger:
    """Logs an event, which is a text that is the same for all records of its kind, with what differs as fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._log(logging.ERROR, event, fields)

    def _log(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, Event(event=event, **fields), stacklevel=3)


def get_logger(name: str) -> EventLogger:
    """The logger of this name; that of the standard library has the same one."""
    return EventLogger(name)
