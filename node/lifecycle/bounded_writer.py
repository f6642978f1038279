"""Output that nobody waits for: a bounded queue, and a thread that writes what is in it."""

import os
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    waiting_bytes: int
    """Bytes of the lines that wait, and of those that are being written."""
    lost_lines: int
    """Lines that did not fit, or could not be written, since the start."""


class BoundedWriter:
    """Writes lines in a thread of its own, in order. A line that does not fit into the queue is lost, and counted.

    `write` is called in that thread, with whole lines; it may block, and may raise OSError. After the first line that
    does not fit, all are lost until the thread takes what waits: so the text of `describe_loss`, which it writes
    behind that, is where they are missing.
    """

    def __init__(
        self, write: Callable[[bytes], None], *, max_bytes: int, describe_loss: Callable[[int], bytes]
    ) -> None:
        self._write = write
        self._max_bytes = max_bytes
        self._describe_loss = describe_loss
        self._is_full = False
        self._is_woken = False
        self._is_closed = False
        self._unsaid = 0  # lost lines that no text of describe_loss has counted
        self._lost = 0
        self._start()

    def put(self, line: bytes) -> bool:
        """Queue a line, with its line break. False: it is lost. Never waits for the output."""
        with self._lock():
            if self._is_closed or self._is_full or self._held_bytes + len(line) > self._max_bytes:
                self._is_full = True
                self._lost += 1
                self._unsaid += 1
            else:
                self._waiting.append(line)
                self._held_bytes += len(line)
            self._changed.notify_all()
            return not self._is_full

    def wake(self) -> None:
        """Have `write` called soon, even if no line waits."""
        with self._lock():
            self._is_woken = True
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Write what waits, for at most so many seconds. False: some of it waits still. Later lines are lost."""
        with self._lock():
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def statistics(self) -> WriterStatistics:
        with self._lock():
            return WriterStatistics(self._held_bytes, self._lost)

    def _lock(self) -> threading.Condition:
        if self._pid != os.getpid():  # forked: the thread, and the lines that it writes, are the other process'
            self._start()
        return self._changed

    def _start(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._held_bytes = 0  # of lines that wait or are being written
        # A daemon is not joined when the process ends: it may be blocked for good.
        self._thread = threading.Thread(target=self._run, name="tannoy-output", daemon=True)
        self._thread.start()

    # ---- the thread

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            lines, unsaid = taken
            text = b"".join(lines) + (self._describe_loss(unsaid) if unsaid else b"")
            is_written = self._try_write(text)
            with self._changed:
                self._held_bytes -= sum(map(len, lines))
                if not is_written:
                    self._lost += len(lines)
                    self._unsaid += len(lines) + unsaid  # said with the next line, or each failure would cause another

    def _try_write(self, text: bytes) -> bool:
        try:
            self._write(text)
        except OSError:
            return False
        return True

    def _take(self) -> tuple[list[bytes], int] | None:
        """The lines that wait, and the number of those that were lost behind them. None: the writer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_full or self._is_woken or self._is_closed)
            if not (self._waiting or self._is_full or self._is_woken):
                return None
            lines, self._waiting = self._waiting, []
            unsaid, self._unsaid = self._unsaid, 0
            self._is_full = self._is_woken = False
            return lines, unsaid


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a file descriptor, and wait as long as that takes. Raises OSError.

    Not through a file object: at its end, the interpreter waits for the lock of one that another thread writes to.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # another process has made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
