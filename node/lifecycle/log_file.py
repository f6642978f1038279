"""Where a log is written to: standard error, or a file that tools such as logrotate move away meanwhile."""

import os
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

    While it can't be opened anew, writing goes on in the file that is open, which says so once, in a line that
    `encode_error` makes.
    """

    def __init__(self, path: Path, encode_error: Callable[[str], bytes]) -> None:
        """Raises OSError."""
        self._path = path
        self._encode_error = encode_error
        self._descriptor = _open(path)
        self._is_to_be_reopened = False
        self._is_stuck = False

    def write(self, text: bytes) -> None:
        """Called by one thread. Raises OSError."""
        if self._is_to_be_reopened or not self._is_at_path():
            self._is_to_be_reopened = False
            self._reopen()
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

    def _reopen(self) -> None:
        try:
            descriptor = _open(self._path)
        except OSError as error:
            if not self._is_stuck:
                self._is_stuck = True
                message = f"TANNOY_LOG_FILE={self._path}: {error.strerror}; writing goes on in the file that was open"
                write_all(self._descriptor, self._encode_error(message))
            return
        self._is_stuck = False
        os.close(self._descriptor)
        self._descriptor = descriptor


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
