"""The handler of the process' log: a record is formatted where it is logged, and written by another thread.

Whoever reads a log may stop to do so: a terminal that is paused, a container runtime whose disk is full. The event loop
never waits for it.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

from .bounded_writer import BoundedWriter, WriterStatistics
from .log_file import LogFile
from .repeats import WINDOW_SECONDS, RepeatFilter, Window, find_kind

QUEUE_MAX_BYTES = 1_048_576
"""Of lines that wait to be written. Further ones are lost, and counted."""
CLOSE_TIMEOUT = 1.0
"""Seconds in which the lines that wait are written when the process ends."""


class LogOutput(Protocol):
    def write(self, text: bytes) -> None:
        """Write all of it, however long that takes. Raises OSError."""
        ...

    def close(self) -> None: ...


class LineEncoder:
    """Formats records, each as a line or several."""

    def __init__(self, formatter: logging.Formatter, encoding: str) -> None:
        self._formatter = formatter
        self._encoding = encoding

    def encode(self, record: logging.LogRecord) -> bytes:
        return f"{self._formatter.format(record)}\n".encode(self._encoding, "backslashreplace")

    def encode_error(self, text: str) -> bytes:
        """A record of the log itself."""
        return self._encode_text("tannoy.logs", logging.ERROR, text)

    def encode_repeats(self, window: Window) -> bytes:
        text = f"{window.repeats} more within a second: {window.event}"
        return self._encode_text(window.logger, logging.WARNING, text)

    def _encode_text(self, logger: str, level: int, text: str) -> bytes:
        return self.encode(logging.LogRecord(logger, level, __file__, 0, text, None, None))


class QueuedLog(logging.Handler):
    """Writes to an output, in a thread of its own. Of warnings and errors of a kind it writes one in a second."""

    def __init__(
        self,
        output: LogOutput,
        encoder: LineEncoder,
        *,
        max_bytes: int = QUEUE_MAX_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._output = output
        self._encoder = encoder
        self._is_closed = False
        self._is_ending = False
        self._monotonic = monotonic
        self._repeats = RepeatFilter()
        self._timer: threading.Timer | None = None
        self._writer = BoundedWriter(output.write, max_bytes=max_bytes, describe_loss=self._describe_loss)

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the lock of the handler held."""
        now = self._monotonic()
        self._write_repeats(now)
        if self._is_repeated(record, now):
            return
        try:
            line = self._encoder.encode(record)
        except Exception as error:  # no record may end the code that logs it: so every handler does it
            line = self._encoder.encode_error(f"a record of {record.name} can't be formatted: {error!r}")
        self._writer.put(line)

    def reopen(self) -> bool:
        """Open the file anew that is written to. False: it is none."""
        if not isinstance(self._output, LogFile):
            return False
        self._output.reopen_with_next_write()
        self._writer.wake()
        return True

    def close(self) -> None:
        """Called by the standard library when the process ends. What can't be written in time is lost."""
        super().close()
        self.acquire()
        try:
            self._is_ending = True
            self._write_repeats(math.inf)
        finally:
            self.release()
        if not self._is_closed and self._writer.close(CLOSE_TIMEOUT):
            self._is_closed = True
            self._output.close()

    def statistics(self) -> WriterStatistics:
        return self._writer.statistics()

    def _is_repeated(self, record: logging.LogRecord, now: float) -> bool:
        """Whether a record of this kind was logged just now; then this one is counted."""
        if not logging.WARNING <= record.levelno < logging.CRITICAL:
            return False
        event, detail = find_kind(record)
        if self._repeats.admit(record.name, event, detail, now):
            return False
        self._start_timer()
        return True

    def _start_timer(self) -> None:
        """Have the count logged even if no further record comes."""
        if self._timer is None and not self._is_ending:
            self._timer = threading.Timer(WINDOW_SECONDS, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        self.acquire()
        try:
            self._timer = None
            self._write_repeats(self._monotonic())
            if self._repeats.has_repeats():
                self._start_timer()
        finally:
            self.release()

    def _write_repeats(self, now: float) -> None:
        for window in self._repeats.take_ended(now):
            self._writer.put(self._encoder.encode_repeats(window))

    def _describe_loss(self, lines: int) -> bytes:
        return self._encoder.encode_error(f"{lines} records of this log were lost: it was not written fast enough")


def reopen_log_file() -> bool:
    """Open the file anew that this process logs to. False: it logs to none."""
    log = _find_log()
    return log is not None and log.reopen()


def log_statistics() -> WriterStatistics:
    """Of the log of this process; zeros where its host application has configured another one."""
    log = _find_log()
    return WriterStatistics(0, 0) if log is None else log.statistics()


def _find_log() -> QueuedLog | None:
    return next((handler for handler in logging.getLogger().handlers if isinstance(handler, QueuedLog)), None)
