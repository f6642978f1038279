"""Processes that tests start: each one is the leader of a group of its own, and none may be left over.

A server may have children (hypercorn its workers, Chromium its renderers), which outlive it when it alone is killed. So
a whole group is ended; and whatever a run has started carries a mark in its environment, by which it is found at the
end, also after its parent has gone.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

MARK = "TESTED_BY"
"""The environment variable that every process of a run inherits: `RUN/WORKER`. Without the prefix of our settings."""
ENDS_WITHIN = 10.0
"""Seconds that a process may take to end after a signal, or after its Redis has gone."""
_LOOK_AGAIN = 0.05


class Process(Protocol):
    """What tests use of subprocess.Popen; a node that was forked has it too."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: int, /) -> None: ...


def start(
    command: Sequence[str],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    errors: IO[bytes] | int | None = None,
    user: str | None = None,
) -> "subprocess.Popen[bytes]":
    """As the leader of a new group. End it with `end_group`. What is None is as this process has it."""
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=errors, user=user, start_new_session=True)


def signal_group(leader: int, number: signal.Signals) -> None:
    """To all processes of a group, if there are any."""
    with suppress(ProcessLookupError):
        os.killpg(leader, number)


def end_group(process: Process) -> None:
    """SIGKILL for a process that leads a group and for its children, whether it still runs or not."""
    signal_group(process.pid, signal.SIGKILL)
    process.wait()


# ---- what is left over


@dataclass(frozen=True, slots=True)
class Leftover:
    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid}: {self.command}"


def mark(worker: str) -> str:
    """Mark all processes that this one starts from now on; the mark. A worker of pytest-xdist inherits the run's."""
    run = os.environ.get(MARK, "").partition("/")[0] if worker else f"{os.getpid()}.{time.time_ns()}"
    os.environ[MARK] = f"{run}/{worker or 'main'}"
    return os.environ[MARK]


def left_over(mark: str) -> list[Leftover]:
    """Processes whose mark begins like this and that do not end within ENDS_WITHIN, apart from this one."""
    give_up = time.monotonic() + ENDS_WITHIN
    while (found := _marked(mark)) and time.monotonic() < give_up:
        time.sleep(_LOOK_AGAIN)
    return found


def end_left_over(mark: str) -> list[Leftover]:
    """The same, ended: they would slow down the next run."""
    found = left_over(mark)
    for each in found:
        with suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)
    return found


def _marked(mark: str) -> list[Leftover]:
    wanted = f"{MARK}={mark}".encode()
    found: list[Leftover] = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            names = b"\0" + (folder / "environ").read_bytes()
            if pid != os.getpid() and b"\0" + wanted in names:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(Leftover(pid, command))
    return found


def peak_memory(pid: int) -> int:
    """Bytes that were resident at most."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
