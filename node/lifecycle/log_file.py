"""Where a log is written to: standard error, or a file of bounded size, which tools such as logrotate may move away.

Several processes may write to one file: whichever finds it full rotates it, and the others then find another one there.
"""

import fcntl
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from .bounded_writer import write_all


class StandardError:
    """If it was closed when the process began, what is written is discarded."""

    def __init__(self) -> None:
        stderr = sys.__stderr__
        self._descriptor = os.open(os.devnull, os.O_WRONLY) if stderr is None else os.dup(stderr.fileno())

    def write(self, text: bytes) -> None:
        """Raises OSError."""
        write_all(self._descriptor, text)

    def close(self) -> None:
        os.close(self._descriptor)


class LogFile:
    """Appends to the file at a path, and opens it anew when another file is there, or none.

    A file that would exceed `max_bytes` is renamed to PATH.1, that to PATH.2, and so on; the oldest of more than `kept`
    goes. 0 bytes: nothing is renamed. While it can't be renamed or opened anew, writing goes on in the file that is
    open, which says so once, in a line that `encode_error` makes.
    """

    def __init__(self, path: Path, encode_error: Callable[[str], bytes], *, max_bytes: int = 0, kept: int = 0) -> None:
        """Raises OSError."""
        self._path = path
        self._encode_error = encode_error
        self._max_bytes = max_bytes
        self._kept = kept
        self._descriptor = _open(path)
        self._is_to_be_reopened = False
        self._is_stuck = False

    def write(self, text: bytes) -> None:
        """Called by one thread. Raises OSError."""
        if self._is_to_be_reopened or not self._is_at_path():
            self._is_to_be_reopened = False
            self._try(self._reopen)
        if self._has_no_room(len(text)):
            self._try(self._rotate)
        write_all(self._descriptor, text)

    def reopen_with_next_write(self) -> None:
        """Open the path anew, whatever is there. Called by any thread."""
        self._is_to_be_reopened = True

    def close(self) -> None:
        os.close(self._descriptor)

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except OSError:
            return False

    def _has_no_room(self, size: int) -> bool:
        if self._max_bytes == 0:
            return False
        file = os.fstat(self._descriptor)
        return stat.S_ISREG(file.st_mode) and 0 < file.st_size > self._max_bytes - size

    def _try(self, change: Callable[[], None]) -> None:
        """Change to another file, or go on with the one that is open."""
        try:
            change()
        except OSError as error:
            if not self._is_stuck:
                self._is_stuck = True
                message = f"TANNOY_LOG_FILE={self._path}: {error.strerror}; writing goes on in the file that was open"
                write_all(self._descriptor, self._encode_error(message))
        else:
            self._is_stuck = False

    def _reopen(self) -> None:
        descriptor = _open(self._path)
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _rotate(self) -> None:
        full = os.dup(self._descriptor)  # has the same lock
        try:
            fcntl.flock(full, fcntl.LOCK_EX)
            if self._is_at_path():  # else another process has rotated it meanwhile
                self._rename_all()
            self._reopen()
        finally:
            fcntl.flock(full, fcntl.LOCK_UN)
            os.close(full)

    def _rename_all(self) -> None:
        for number in range(self._kept, 1, -1):
            if (older := self._numbered(number - 1)).exists():
                older.replace(self._numbered(number))
        if self._kept:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
