"""What `tannoy up` prints: rich formats it, and a thread writes it, so that the supervisor never waits for its reader.

A terminal that is paused, or a pipe that is not read, would else stop the supervisor: it would read no output of its
nodes, and would start none again that has exited.
"""

import io
import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import IO, TextIO, cast

from rich.console import Console
from rich.text import Text

from ..lifecycle.bounded_writer import BoundedWriter, write_all

WAITING_MAX_BYTES = 1_048_576
"""Of output that waits to be written. While there is more, lines are not printed but counted."""
QUEUE_MAX_BYTES = 2 * WAITING_MAX_BYTES
"""Room for what rich writes at once, such as the table."""
CLOSE_TIMEOUT = 1.0
"""Seconds in which the output that waits is written at the end."""


class _QueuedFile(io.TextIOBase):
    """The file of a rich Console. Its encoding and its terminal are those of `stream`."""

    def __init__(self, stream: TextIO, writer: BoundedWriter) -> None:
        self._stream = stream
        self._writer = writer

    @property
    def encoding(self) -> str:  # type: ignore[override] # the base class has None
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str, /) -> int:
        self._writer.put(text.encode(self._stream.encoding, "backslashreplace"))
        return len(text)


class TerminalOutput:
    """Prints lines of several sources. Those that are not printed are counted by source, which is said later."""

    def __init__(
        self,
        stream: TextIO,
        write: Callable[[bytes], None] | None = None,
        *,
        waiting_max_bytes: int = WAITING_MAX_BYTES,
    ) -> None:
        """`write` writes to the stream, and may block."""
        self._waiting_max_bytes = waiting_max_bytes
        self._writer = BoundedWriter(
            write or partial(write_all, stream.fileno()),
            max_bytes=QUEUE_MAX_BYTES,
            describe_loss=lambda count: b"\n(%d parts of this output are missing)\n" % count,
        )
        self.console = Console(file=cast("IO[str]", _QueuedFile(stream, self._writer)), highlight=False)
        self._not_printed: Counter[str] = Counter()

    def print(self, text: str | Text, *, source: str = "up") -> None:
        if self.catch_up():
            self.console.print(text, soft_wrap=True)
        else:
            self._not_printed[source] += 1

    def catch_up(self) -> bool:
        """Say what was not printed, if any. False: the output that waits leaves no room."""
        if self._writer.statistics().waiting_bytes > self._waiting_max_bytes:
            return False
        for source, lines in self._not_printed.items():
            text = f"{source}: {lines} lines were not printed, since this output was not read"
            self.console.print(text, style="yellow", soft_wrap=True)
        self._not_printed.clear()
        return True

    def close(self) -> None:
        self.catch_up()
        self._writer.close(CLOSE_TIMEOUT)


class ControllingTerminal:
    """The terminal of which Ctrl-C comes, if this process has one. `is_outlived`: `nohup` has started it."""

    def __init__(self) -> None:
        self._was_there = _has_terminal()
        self.is_outlived = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    @property
    def is_gone(self) -> bool:
        """There was one, and it was closed."""
        return self._was_there and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
