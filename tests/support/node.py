"""A node whose internal times a test has chosen: `TESTED_TIMES=… python -m tests.support.node --port 8001`.

It is the application of the product on the fast transport; `create_app` is for other servers. The times are no
settings of the product: all nodes of a cluster have to agree on them, and docs/protocol.md promises some of them.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.applications import Starlette
from tannoy.fanout.lease_times import DEFAULT_TIMES, LeaseTimes
from tannoy.fanout.timeouts import DEFAULT_TIMEOUTS, Timeouts
from tannoy.node import app
from tannoy.node.lifecycle.files import raise_file_limit
from tannoy.node.lifecycle.logs import configure_logs
from tannoy.node.node import Node
from tannoy.node.server.uvicorn_server import run_node
from tannoy.shared.clock import SystemClock
from tannoy.shared.settings import Settings, load_settings

from tests.support.waiting import PATIENCE

PROJECT = Path(__file__).parent.parent.parent
VARIABLE = "TESTED_TIMES"


@dataclass(frozen=True, slots=True)
class Times:
    """The internal times of a node."""

    leases: LeaseTimes = DEFAULT_TIMES
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    clock_ahead: float = 0.0
    """Seconds by which its clock is ahead."""

    def as_environment(self) -> Mapping[str, str]:
        """For a process that imports this module, from wherever it runs."""
        return {VARIABLE: json.dumps(asdict(self)), "PYTHONPATH": str(PROJECT)}

    @classmethod
    def from_environment(cls) -> "Times":
        times = json.loads(os.environ[VARIABLE])
        return cls(LeaseTimes(**times["leases"]), Timeouts(**times["timeouts"]), times["clock_ahead"])


_PATIENT = Timeouts(command=PATIENCE, response=PATIENCE, report=PATIENCE, subscribe=PATIENCE, start=PATIENCE)

PRODUCT = Times()
"""For tests that are about times which the product promises, and in which Redis fails."""
OFTEN_REPAIRED = LeaseTimes(round_seconds=8.0)
"""The product's, but anti-entropy restates everything in less than its minute."""
SLOW_START = Times(OFTEN_REPAIRED, Timeouts(start=PATIENCE))
"""For the checker of tests/chaos, which is about the product's times, and starts dozens of nodes at once."""
STEADY = Times(OFTEN_REPAIRED, Timeouts(command=3.0, response=3.0, subscribe=5.0, start=PATIENCE))
"""For tests in which Redis fails and that are not about how soon: a busy machine answers in time, what hangs fails."""
PATIENT = Times(timeouts=_PATIENT)
"""For tests in which Redis works: it may take as long for an answer as a busy machine needs."""
HASTY_LEASES = LeaseTimes(
    heartbeat_seconds=0.5,
    lease_seconds=2.5,
    margin_seconds=0.5,
    recovery_seconds=2.25,
    admission_seconds=4.0,
    sweep_seconds=0.5,
    repair_seconds=0.5,
)
"""For tests of take-overs that are not about how long those take. Shorter ones would run out on a busy machine."""
HASTY = Times(HASTY_LEASES, _PATIENT)


class ClockAhead:
    """A clock that nobody has set right."""

    def __init__(self, seconds: float) -> None:
        self.monotonic = SystemClock.monotonic
        self._seconds = seconds

    def now(self) -> float:
        return SystemClock.now() + self._seconds


def _make_node(settings: Settings) -> Node:
    times = Times.from_environment()
    clock = ClockAhead(times.clock_ahead)
    return Node(settings, clock, lease_times=times.leases, timeouts=times.timeouts)


def create_app() -> Starlette:
    return app.create_app(make_node=_make_node)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    settings = load_settings(port=parser.parse_args().port)
    configure_logs(settings)
    raise_file_limit()
    return run_node(settings, make_node=_make_node)


if __name__ == "__main__":
    sys.exit(main())
