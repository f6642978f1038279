"""A real PostgreSQL of a test's own, as a user who is not root, with the faults that a test can do to it."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support import processes
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, eventually

_QUICK = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # what is killed is a process, and not the machine
    "max_connections": "20",
    "shared_buffers": "16MB",
    "autovacuum": "off",
}


def _binary(name: str) -> str:
    """Debian keeps those of each version in a folder of its own. Without them the test is skipped."""
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"no `{name}`: this test needs Debian's package `postgresql`")
    return found


def _working_in(folder: str) -> list[str]:
    """The processes in this folder, which may have left the group of the one that started them."""
    return [str(link) for link in Path("/proc").glob("[0-9]*/cwd") if _target(link).startswith(folder)]


def _target(link: Path) -> str:
    """Empty: its process has ended meanwhile."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


class Postgres:
    """`async with Postgres() as postgres:`; it keeps its port and its data over kills and restarts."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="tannoy-postgres-")
        self._process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root

    @property
    def url(self) -> str:
        return f"postgresql://tannoy:a-password@127.0.0.1:{self.port}/postgres"

    async def __aenter__(self) -> Self:
        data = Path(self._folder.name) / "data"
        data.mkdir(mode=0o700)
        if self._user is not None:
            for folder in (data, data.parent):
                shutil.chown(folder, self._user)
        making = [_binary("initdb"), "-D", str(data), "-U", "tannoy", "-A", "trust", "-E", "UTF8", "--no-sync"]
        process = processes.start(
            [*making, "--locale=C"], cwd=data, output=subprocess.DEVNULL, errors=subprocess.DEVNULL, user=self._user
        )
        assert process.wait(PATIENCE) == 0
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thaw()
        self.kill()
        await eventually(self._is_gone, what="no process of PostgreSQL is left")
        self._folder.cleanup()

    async def start(self) -> None:
        await eventually(self._starts, what="PostgreSQL accepts connections")

    async def _starts(self) -> bool:
        """Again, where it has ended: the children of one that was killed may still be there."""
        if self._process is None or self._process.poll() is not None:
            data = Path(self._folder.name) / "data"
            options = [word for name, value in _QUICK.items() for word in ("-c", f"{name}={value}")]
            self._process = processes.start(
                [_binary("postgres"), "-D", str(data), "-p", str(self.port), *options],
                cwd=data,
                output=subprocess.DEVNULL,
                errors=subprocess.DEVNULL,
                user=self._user,
            )
        ready = [_binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tannoy"]
        return subprocess.run(ready, check=False).returncode == 0

    async def _is_gone(self) -> bool:
        return not _working_in(str(Path(self._folder.name) / "data"))

    def freeze(self) -> None:
        """All of its processes: connections stay open, and nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        for link in _working_in(str(Path(self._folder.name) / "data")):
            with suppress(ProcessLookupError):
                os.kill(int(link.split("/")[2]), number)

    def kill(self) -> None:
        """SIGKILL for its first process; the others, which have left its group, end by themselves then."""
        process, self._process = self._process, None
        if process is not None:
            processes.end_group(process)

    def run(self, statement: str) -> str:
        """What `psql` prints."""
        command = [_binary("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "tannoy", "-d", "postgres"]
        done = subprocess.run([*command, "-Atc", statement], check=True, capture_output=True, text=True)
        return done.stdout.strip()
