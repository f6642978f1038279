"""What a record may contain when it is written: its text has a bound, and can't forge a line of its own.

Clients choose user names, origins and paths, Redis chooses its errors, and any of them may stand in a record.
"""

import traceback
from typing import TextIO

from structlog.typing import EventDict, ExcInfo, WrappedLogger

FIELD_MAX_CHARACTERS = 2000
"""Of one field of a record: what is beyond it is left out."""
TRACEBACK_MAX_CHARACTERS = 50_000
"""Of the traceback of a record."""
_INDENT = "    "
_TRACEBACKS = ("exception", "stack")
_NOT_TEXT = ("exc_info",)
"""What the renderer turns into a traceback."""


def escape_unprintable(text: str) -> str:
    """Replace what moves the cursor, breaks the line, or changes the direction of writing, as `repr` does."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of a text, and how many are left out."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


def bound_fields(logger: WrappedLogger, method: str, fields: EventDict) -> EventDict:
    """A processor of structlog: cuts each field."""
    for name, value in fields.items():
        if name in _NOT_TEXT or isinstance(value, int | float | None):
            continue
        if isinstance(value, str):
            fields[name] = cut(value, TRACEBACK_MAX_CHARACTERS if name in _TRACEBACKS else FIELD_MAX_CHARACTERS)
        elif len(shown := repr(value)) > FIELD_MAX_CHARACTERS:
            fields[name] = cut(shown, FIELD_MAX_CHARACTERS)
    return fields


def escape_fields(logger: WrappedLogger, method: str, fields: EventDict) -> EventDict:
    """A processor for text that people read: no field breaks its line, or contains what a terminal obeys."""
    for name, value in fields.items():
        if isinstance(value, str) and name not in _TRACEBACKS:
            fields[name] = escape_unprintable(value)
    return fields


def write_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback without local variables, indented: so the message of an exception can't pass for a record."""
    text = "".join(traceback.format_exception(*exc_info))
    lines = cut(text, TRACEBACK_MAX_CHARACTERS).rstrip("\n").split("\n")
    output.write("\n" + "\n".join(_INDENT + escape_unprintable(line) for line in lines))
