"""How much memory this process uses, or its cgroup, and how much that may be.

Where a cgroup has a limit its own account counts: the kernel ends a process by it, and it has the buffers of sockets
too. Linux only; other systems tell a process no more than its peak.
"""

import os
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_048_576
"""Bytes, as Docker's and Redis' megabytes have."""
MEMORY_MAX_PERCENT = 80
"""Of the limit of the cgroup, or else of the memory of the machine, if no setting says more."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STAT_BYTES = 16_384
"""More than a cgroup's `memory.stat` has."""


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """A cgroup with a limit. `cache`: the fields of `stat` that count the cache of files, which is no use to count."""

    limit_bytes: int
    usage: Path
    stat: Path
    cache: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class MemoryBound:
    """What may be used at most, and by whom: by all processes of `cgroup`, or by this one alone if that is None."""

    max_bytes: int
    cgroup: MemoryCgroup | None
    statm: Path


def find_memory_bound(max_mb: int | None, root: Path = Path("/")) -> MemoryBound | None:
    """The bound of a setting: megabytes of this process, 0 for none, or None for MEMORY_MAX_PERCENT of what there is.

    None: there is no bound, or nothing to measure it by. `root`: where `/proc` and `/sys` are.
    """
    statm = root / "proc/self/statm"
    if max_mb == 0 or not statm.exists():
        return None
    if max_mb is not None:
        return MemoryBound(max_mb * MEGABYTE, None, statm)
    cgroup = find_memory_cgroup(root)
    limit = machine_bytes() if cgroup is None else cgroup.limit_bytes
    return MemoryBound(limit * MEMORY_MAX_PERCENT // 100, cgroup, statm)


def machine_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES


def find_memory_cgroup(root: Path = Path("/")) -> MemoryCgroup | None:
    """The cgroup that bounds this process most, of its own and those above; None: none has less than the machine."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    fields = (line.split(":", 2) for line in lines if line.count(":") >= 2)
    paths = {controllers: path for _, controllers, path in fields}
    mount = root / "sys/fs/cgroup"
    if (path := next((path for names, path in paths.items() if "memory" in names.split(",")), None)) is not None:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        return _find_smallest(mount / "memory", path, *names, "total_inactive_file", "total_active_file")
    if (path := paths.get("")) is not None:  # version 2
        return _find_smallest(mount, path, "memory.max", "memory.current", "inactive_file", "active_file")
    return None


def _find_smallest(mount: Path, path: str, limit_name: str, usage_name: str, *cache: str) -> MemoryCgroup | None:
    """Looks at each folder from that of the process up. In a container the path may be that of the host, which its
    mount does not have: then the mount itself is the container's."""
    smallest, found = machine_bytes(), None
    own = mount / path.lstrip("/")
    for folder in (own, *own.parents):
        limit = _read_limit(folder / limit_name)
        if limit is not None and limit < smallest:
            counted = frozenset(name.encode() for name in cache)
            smallest = limit
            found = MemoryCgroup(limit, folder / usage_name, folder / "memory.stat", counted)
        if folder == mount:
            break
    return found


def _read_limit(path: Path) -> int | None:
    """None: there is none, or it is `max`."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


class MemoryReader:
    """Reads what is in use. Its files stay open: a node whose files are used up is measured too. Close it."""

    def __init__(self, bound: MemoryBound) -> None:
        """Raises OSError."""
        self._bound = bound
        self._files = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in self._paths()]

    def _paths(self) -> list[Path]:
        cgroup = self._bound.cgroup
        return [self._bound.statm] if cgroup is None else [cgroup.usage, cgroup.stat]

    def read(self) -> int:
        """Bytes in use. Raises OSError, as when the process has been moved and its former cgroup is gone.

        The cache of files is subtracted only where that can make a difference: the kernel may take milliseconds to
        sum up what a cgroup uses it for.
        """
        first = os.pread(self._files[0], _STAT_BYTES, 0)
        cgroup = self._bound.cgroup
        if cgroup is None:
            return int(first.split()[1]) * _PAGE_BYTES
        usage = int(first)
        if usage < self._bound.max_bytes // 2:
            return usage
        fields = (line.split() for line in os.pread(self._files[1], _STAT_BYTES, 0).splitlines())
        return usage - sum(int(value) for name, value in fields if name in cgroup.cache)

    def close(self) -> None:
        while self._files:
            os.close(self._files.pop())
