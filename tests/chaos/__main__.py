"""The command line of the fault checker. README.md beside this file describes it.

    python -m tests.chaos limits --seed 7       random faults; are limits and presence kept?
    python -m tests.chaos messages --seed 7     random faults; is every message delivered or announced as missing?
    python -m tests.chaos streams               random faults; is every text whole, once, or ended as lost?
    python -m tests.chaos archive               kills of the archive's writer and database; is every message there once?
    python -m tests.chaos                       the first two, one after the other
    python -m tests.chaos scenario MUTANT       the scenarios of one mutant; `--product`: run them without the mutant

Exits with 0 (pass), 1 (violations) or 2 (rejected: too little happened).
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.chaos.archive.run import ArchivePlan, run_archive
from tests.chaos.harness.runner import Report
from tests.chaos.limits.run import LimitsPlan, run_limits
from tests.chaos.limits.scenarios import SCENARIOS as LIMIT_SCENARIOS
from tests.chaos.messages.run import MessagesPlan, run_messages
from tests.chaos.messages.scenarios import SCENARIOS as MESSAGE_SCENARIOS
from tests.chaos.mutant import MUTANTS
from tests.chaos.streams.run import StreamsPlan, run_streams
from tests.chaos.streams.scenarios import SCENARIOS as STREAM_SCENARIOS

SHOWN_MAX = 10
"""Violations of a scenario that are written out."""
SCENARIOS = (*LIMIT_SCENARIOS, *MESSAGE_SCENARIOS, *STREAM_SCENARIOS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Real nodes under faults.")
    commands = parser.add_subparsers(dest="command")
    _limits(commands.add_parser("limits", help="limits and presence under random faults"))
    _messages(commands.add_parser("messages", help="messages under random faults"))
    _streams(commands.add_parser("streams", help="streams under random faults"))
    _archive(commands.add_parser("archive", help="kills of the archive's writer and of its database"))
    _scenario(commands.add_parser("scenario", help="the scenarios of one mutant, which have to find it"))
    return parser.parse_args()


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of the actions of clients")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop then, even if too little has happened")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), metavar="NAME", help="start every node as this mutant")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report to this file too")
    parser.add_argument("--history", type=Path, metavar="FILE", help="write all events there, one JSON array a line")


def _limits(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--connects", type=int, default=20_000, help="connections of clients of agents")
    parser.add_argument("--rate", type=float, default=90.0, help="connects per second, at most")
    parser.add_argument("--policy", choices=["both", "reject", "evict_oldest"], default="both")


def _messages(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--deliveries", type=int, default=100_000, help="messages that clients receive")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--rate", type=float, default=240.0, help="messages published per second, at most")


def _streams(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--pieces", type=int, default=100_000, help="that producers write")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--agents", type=int, default=6, help="each with a producer")
    parser.add_argument("--tabs", type=int, default=4, help="of each agent")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between two pieces of a stream")


def _archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of the rooms that messages go to")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20, help="of the writer and of the database, in turn")


def _scenario(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mutant", choices=sorted(MUTANTS), metavar="MUTANT", help=", ".join(sorted(MUTANTS)))
    parser.add_argument("--product", action="store_true", help="run the product itself, which has to be clean")


async def _report(command: str, options: dict[str, Any]) -> Report:
    if command == "limits":
        return await run_limits(LimitsPlan(**options))
    if command == "streams":
        return await run_streams(StreamsPlan(**options))
    return await run_messages(MessagesPlan(**options))


def _run(command: str, options: dict[str, Any]) -> int:
    to_file: Path | None = options.pop("json", None)
    report = asyncio.run(_report(command, options))
    if to_file is not None:
        to_file.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    sys.stdout.write(report.as_text() + "\n")
    return report.exit_code


def _run_scenarios(mutant: str, product: bool) -> int:
    """1 if there are violations, whether or not they are those by which the mutant has to be found."""
    found = False
    for scenario in SCENARIOS:
        if scenario.mutant == mutant:
            violations = asyncio.run(scenario.run(mutated=not product))
            expected = "none" if product else " or ".join(sorted(scenario.found_as))
            sys.stdout.write(f"{scenario.name}: {len(violations)} violations, expected {expected}\n")
            sys.stdout.write("".join(f"  {violation}\n" for violation in violations[:SHOWN_MAX]))
            found = found or bool(violations)
    return int(found)


def main() -> int:
    options = vars(_arguments())
    command: str | None = options.pop("command")
    if command == "scenario":
        return _run_scenarios(**options)
    if command == "archive":
        report = asyncio.run(run_archive(ArchivePlan(**options)))
        sys.stdout.write(report.as_text() + "\n")
        return report.exit_code
    return max(_run(each, dict(options)) for each in ((command,) if command else ("limits", "messages")))


if __name__ == "__main__":
    sys.exit(main())
