"""`tannoy archive` in a process of its own, with the faults that a test can do to it."""

import signal
import tempfile
from collections.abc import Mapping
from typing import IO

from tests.support import fork_server, processes
from tests.support.cluster import environment
from tests.support.waiting import PATIENCE, eventually


class ArchiveWriterProcess:
    """Writes for the nodes of a Redis. `settings` are without their prefix. Start it again after it was killed."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._process: processes.Process | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()

    async def start(self) -> None:
        """Returns when it writes."""
        before = self.log().count("the archive is written")
        self.launch()

        async def writes() -> bool:
            assert self._running.poll() is None, f"it has ended:\n{self.log()}"
            return self.log().count("the archive is written") > before

        await eventually(writes, what="the archive is written")

    def launch(self) -> None:
        """Start it, whether it can write or not."""
        command = ["tannoy", "archive"]
        self._process = fork_server.server.start(command, env=environment(self._settings), output=self._log)

    @property
    def _running(self) -> processes.Process:
        assert self._process is not None
        return self._process

    @property
    def has_ended(self) -> bool:
        return self._running.poll() is not None

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self._running.send_signal(signal.SIGTERM)
        return self._running.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            processes.end_group(self._process)

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        self.kill()
        self._log.close()
