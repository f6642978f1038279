"""The command line: `python -m tests.chaos --seed 7`. Exits with 0 (pass), 1 (violations) or 2 (rejected)."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from tests.chaos.mutants import MUTANTS
from tests.chaos.run import Plan, run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Limits and presence under faults.")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of what clients do")
    parser.add_argument("--connects", type=int, default=20_000, help="clients of agents that connect")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop then, even with fewer connects")
    parser.add_argument("--rate", type=float, default=90.0, help="connects per second, at most")
    parser.add_argument("--policy", choices=["both", "reject", "evict_oldest"], default="both")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="take one safety out of every node: has to fail")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--history", type=Path, metavar="FILE", help="write all events there, one JSON array a line")
    return parser.parse_args()


def main() -> int:
    options = vars(_arguments())
    to_file: Path | None = options.pop("json")
    report = asyncio.run(run(Plan(**options)))
    if to_file is not None:
        to_file.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    sys.stdout.write(report.as_text() + "\n")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
