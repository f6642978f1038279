"""What an attack costs the processes of the cluster: memory and CPU time, read off `/proc`, and Redis' own account."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attack.arena import OwnArena

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a window of time cost. `grown`: megabytes of the peak above the beginning; `cpu`: of one core, 0 to 1."""

    grown: float
    kept: float
    """Megabytes that are still there at the end."""
    cpu: float
    redis_grown: float
    redis_cpu: float
    redis_longest: float
    """Milliseconds of the longest command."""
    redis_command: str


class Meter:
    """`begin`, let something happen, `end`."""

    def __init__(self, arena: OwnArena) -> None:
        self._arena = arena
        self._node = arena.attacked.pid
        self._valkey = arena.valkey.pid

    async def begin(self) -> None:
        await self._arena.valkey.run("SLOWLOG", "RESET")
        self._redis_memory = await self._used_memory()
        _forget_peak(self._node)
        self._resident = resident(self._node)
        self._cpu = cpu_seconds(self._node), cpu_seconds(self._valkey)

    async def end(self, seconds: float) -> Cost:
        """`seconds`: how long it took. Raises FileNotFoundError if the node has ended."""
        node_cpu, redis_cpu = cpu_seconds(self._node) - self._cpu[0], cpu_seconds(self._valkey) - self._cpu[1]
        longest, command = await self._slowest()
        return Cost(
            grown=_memory(self._node, "VmHWM") - self._resident,
            kept=resident(self._node) - self._resident,
            cpu=node_cpu / seconds,
            redis_grown=(await self._used_memory() - self._redis_memory) / 1e6,
            redis_cpu=redis_cpu / seconds,
            redis_longest=longest,
            redis_command=command,
        )

    async def _used_memory(self) -> int:
        return int((await self._arena.valkey.run("INFO", "memory"))["used_memory"])

    async def _slowest(self) -> tuple[float, str]:
        entries: list[list[Any]] = await self._arena.valkey.run("SLOWLOG", "GET", "128")
        if not entries:
            return 0.0, ""
        _, _, microseconds, words, *_ = max(entries, key=lambda entry: int(entry[2]))
        return int(microseconds) / 1000, b" ".join(words[:2])[:20].decode(errors="replace")


def resident(pid: int) -> float:
    """Megabytes."""
    return _memory(pid, "VmRSS")


def _memory(pid: int, name: str) -> float:
    """Megabytes, of a line of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1000
    raise LookupError(f"{name} of process {pid}")


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS_PER_SECOND


def _forget_peak(pid: int) -> None:
    """VmHWM begins anew, with what is resident now (proc(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
