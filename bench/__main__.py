"""Run the benchmarks: `python -m bench`, or `make bench`."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from rich.console import Console
from rich.markup import escape

from . import fanout, handshake, history, idle, limits, report, results, small_rooms, stalled, storm
from .proc import OtherLoad, raise_file_limit

SECTIONS = ("fanout", "idle", "handshake", "stalled", "limits", "history", "rooms", "storm")


@dataclass(frozen=True, slots=True)
class Size:
    """The extent of a run. `seconds` is the length of each timed run."""

    rounds: int
    seconds: float
    sessions: int
    handshakes: int
    returning: int
    """Sessions of the node that is killed."""


FULL = Size(rounds=3, seconds=3.0, sessions=10_000, handshakes=4_000, returning=5_000)
QUICK = Size(rounds=1, seconds=1.0, sessions=2_000, handshakes=1_000, returning=1_000)
SOCKETS = fanout.SOCKETS


@dataclass(slots=True)
class Options:
    """The command line."""

    only: list[str]
    size: Size
    write: bool
    render: bool


def _parse_options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help="comma-separated; some of " + ",".join(SECTIONS))
    parser.add_argument("--seconds", type=float, help="length of each timed run of fanout and stalled")
    parser.add_argument("--rounds", type=int, help="how often each system is measured")
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to test the benchmarks; too short for figures"
    )
    parser.add_argument("--write", action="store_true", help="keep the results; generate README.md and its figures")
    parser.add_argument(
        "--render",
        action="store_true",
        help="measure nothing; generate README.md and its figures from the kept results",
    )
    given = parser.parse_args()
    only = [name for name in str(given.only).split(",") if name]
    if unknown := set(only) - set(SECTIONS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    base = QUICK if given.quick else FULL
    seconds, rounds = given.seconds or base.seconds, given.rounds or base.rounds
    if not 0.2 <= seconds <= 60 or not 1 <= rounds <= 20:
        parser.error("--seconds from 0.2 to 60, --rounds from 1 to 20")
    return Options(
        only, Size(rounds, seconds, base.sessions, base.handshakes, base.returning), given.write, given.render
    )


def _measure(name: str, size: Size, found: results.Results, show_step: Callable[[str], None]) -> None:
    settings: dict[str, float] = {"rounds": size.rounds}
    rows: Sequence[object]
    others = OtherLoad()
    if name == "fanout":
        settings |= {"s each": size.seconds, "sockets": SOCKETS}
        rows = fanout.measure(rounds=size.rounds, seconds=size.seconds, sockets=SOCKETS, report=show_step)
    elif name == "idle":
        settings = {"sessions": size.sessions}
        rows = idle.measure(sessions=size.sessions, report=show_step)
    elif name == "handshake":
        settings |= {"handshakes each": size.handshakes}
        rows = handshake.measure(rounds=size.rounds, handshakes=size.handshakes, report=show_step)
    elif name == "limits":
        rows = limits.measure(rounds=size.rounds, report=show_step)
    elif name == "rooms":
        settings |= {"s each": size.seconds, "rooms": small_rooms.ROOMS, "messages a second": small_rooms.PER_SECOND}
        rows = small_rooms.measure(rounds=size.rounds, seconds=size.seconds, report=show_step)
    elif name == "storm":
        settings |= {"sessions": size.returning}
        rows = storm.measure(rounds=size.rounds, sessions=size.returning, report=show_step)
    elif name == "history":
        rows = history.measure(rounds=size.rounds, report=show_step)
    else:
        seconds = size.seconds + 2  # enough to fill the buffers
        settings |= {"s each": seconds, "sockets": SOCKETS}
        rows = stalled.measure(rounds=size.rounds, seconds=seconds, sockets=SOCKETS, report=show_step)
    found.put(name, settings, others.share(), rows)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # raises SystemExit, so that the servers are stopped


def main() -> int:
    """Measure and show; with `--write`, keep the results."""
    options = _parse_options()
    console = Console(soft_wrap=False) if sys.stdout.isatty() else Console(width=150)
    signal.signal(signal.SIGTERM, _exit)
    raise_file_limit()
    begun = time.monotonic()
    found = results.read() if options.write or options.render else results.Results()
    if not options.render:
        for name in options.only:
            _measure(name, options.size, found, lambda text: console.print(f"[dim]{escape(text)} …[/dim]"))
        console.print(f"measured in {time.monotonic() - begun:.0f} s")
    for title, table in report.tables(found).items():
        console.print(table.terminal(title))
    console.print(report.goals(found).terminal("Goals"))
    console.print(report.caveats(found).replace("**", ""), markup=False)
    for error in report.errors(found):
        console.print(f"no figure: {error}", markup=False)
    if options.write:
        results.write(found)
    if options.write or options.render:
        report.write(found)
        console.print("written: README.md, figures.svg, storm.svg" + (", results.json" if options.write else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
