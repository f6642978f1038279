"""The command line: `python -m tests.chaos messages --seed 7`. Exits with 0 (pass), 1 (violations) or 2 (rejected).

Without a word for what is to be checked, both are, one after the other.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.chaos.limits import run as limits
from tests.chaos.messages import run as messages
from tests.chaos.mutant import MUTANTS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Real nodes under random faults.")
    what = parser.add_subparsers(dest="what")
    _limits(what.add_parser("limits", help="limits and presence under faults"))
    _messages(what.add_parser("messages", help="messages under faults"))
    return parser.parse_args()


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of what clients do")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop then, even if it is not enough yet")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="take one safety out of every node: has to fail")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--history", type=Path, metavar="FILE", help="write all events there, one JSON array a line")


def _limits(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--connects", type=int, default=20_000, help="clients of agents that connect")
    parser.add_argument("--rate", type=float, default=90.0, help="connects per second, at most")
    parser.add_argument("--policy", choices=["both", "reject", "evict_oldest"], default="both")


def _messages(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--deliveries", type=int, default=100_000, help="messages that came to a client")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--rate", type=float, default=240.0, help="messages that are said per second, at most")


async def _report(what: str, options: dict[str, Any]) -> limits.Report | messages.Report:
    if what == "limits":
        return await limits.run(limits.Plan(**options))
    return await messages.run(messages.Plan(**options))


def _run(what: str, options: dict[str, Any]) -> int:
    to_file: Path | None = options.pop("json", None)
    report = asyncio.run(_report(what, options))
    if to_file is not None:
        to_file.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    sys.stdout.write(report.as_text() + "\n")
    return report.exit_code


def main() -> int:
    options = vars(_arguments())
    what: str | None = options.pop("what")
    return max(_run(each, dict(options)) for each in ((what,) if what else ("limits", "messages")))


if __name__ == "__main__":
    sys.exit(main())
