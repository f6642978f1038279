"""The file of TANNOY_LOG_FILE, which tools such as logrotate move away while it is written to."""

import logging
import os
from pathlib import Path
from typing import TextIO


class LogFile(logging.StreamHandler[TextIO]):
    """Appends to the file at a path, and opens it anew when another file is there, or none.

    While it can't be opened anew, writing goes on in the file that is open, which says so once.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        super().__init__(_open(path))
        self._path = path
        self._is_stuck = False

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the lock of the handler held."""
        if not self._is_at_path():
            self._reopen()
        super().emit(record)

    def reopen(self) -> None:
        """Open the path anew, whatever is there."""
        self.acquire()
        try:
            self._reopen()
        finally:
            self.release()

    def close(self) -> None:
        super().close()
        self.stream.close()

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self.stream.fileno()))
        except OSError:
            return False

    def _reopen(self) -> None:
        try:
            stream = _open(self._path)
        except OSError as error:
            if not self._is_stuck:
                self._is_stuck = True
                message = f"TANNOY_LOG_FILE={self._path}: {error.strerror}; writing goes on in the file that was open"
                super().emit(logging.LogRecord("tannoy.logs", logging.ERROR, __file__, 0, message, None, None))
            return
        self._is_stuck = False
        self.stream.close()
        self.stream = stream


def reopen_log_files() -> bool:
    """Open the files that this process logs to anew. False: it logs to none."""
    files = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogFile)]
    for file in files:
        file.reopen()
    return bool(files)


def _open(path: Path) -> TextIO:
    return path.open("a", encoding="utf-8", errors="backslashreplace")
