"""CPU time and memory of processes, from `/proc` (Linux only)."""

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/<pid>/stat, counted from the one after the command's closing bracket.
_PARENT = 1
_USER, _SYSTEM = (11, 13), (12, 14)  # each: of the process itself, and of its children that have ended


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def list_descendants(roots: Iterable[int]) -> set[int]:
    """The given processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None:
            children.setdefault(int(stat[_PARENT]), []).append(int(entry))
    found: set[int] = set()
    pending = list(roots)
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending.extend(children.get(pid, ()))
    return found


def cpu_seconds(roots: Iterable[int]) -> tuple[float, float]:
    """User and system time, in seconds, that these processes and their descendants have used so far."""
    user = system = 0
    for pid in list_descendants(roots):
        if (stat := _stat(pid)) is not None:
            user += sum(int(stat[field]) for field in _USER)
            system += sum(int(stat[field]) for field in _SYSTEM)
    return user / _TICKS_PER_SECOND, system / _TICKS_PER_SECOND


def _busy_seconds() -> float:
    """CPU time that all processes of the machine have used so far, without idle time and waiting for disks."""
    user, nice, system, _idle, _disk, *interrupts = (
        int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    )
    return (user + nice + system + sum(interrupts)) / _TICKS_PER_SECOND


class OtherLoad:
    """Measures the CPU time of other processes: that of the machine without this process and its ended children."""

    def __init__(self) -> None:
        self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        ours = os.times()
        return _busy_seconds() - sum(ours[:4]), ours.elapsed * (os.cpu_count() or 1)

    def share(self) -> float:
        """The share (0 to 1) of the machine's CPU time since creation that other processes used."""
        others, available = self._now()
        return max(others - self._start[0], 0.0) / max(available - self._start[1], 0.01)


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one process in bytes: resident, proportional share, private."""

    rss: int
    pss: int
    private: int


def read_memory(pid: int) -> Memory:
    """Read all three sizes. Slow, so not to be called while something is timed."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        sizes[name] = int(value.split()[0]) * 1024
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"])


def read_resident(pid: int) -> int:
    """The resident memory of a process in bytes. Fast enough to be read many times a second."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def raise_file_limit() -> int:
    """Raise the limit of open files of this process, which its children inherit, as far as allowed; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
