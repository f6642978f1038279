"""The command line of the attacks. README.md beside this file describes it.

    python -m tests.attack                          every case, one socket each
    python -m tests.attack --only F3,F10 --sockets 10
    python -m tests.attack --only "64 histories at once"
    python -m tests.attack --mixture 10 --seed 7    ten minutes of all of them at random, by twenty sockets
    python -m tests.attack --abuser 5               what one abuser costs the others under default limits, five rounds

Exits with 0 if every case is within its bounds, else with 1.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.attack import comparison, duel, mixture
from tests.attack.case import Case
from tests.attack.cases import CASES
from tests.attack.table import FAULTS_HEAD, HEAD, line_of, lines_of_faults
from tests.attack.verdict import Result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description="Attacks on real nodes.")
    parser.add_argument("--only", default="", help="faults, with commas between them, or the name of a case")
    parser.add_argument("--sockets", type=int, default=1, choices=[1, 10])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each attack")
    parser.add_argument("--mixture", type=float, metavar="MINUTES", help="of random attacks by twenty sockets")
    parser.add_argument("--abuser", type=int, metavar="ROUNDS", help="one abuser at full speed, under default limits")
    parser.add_argument("--seed", type=int, default=1, help="of the mixture")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file too")
    parser.add_argument("--list", action="store_true", help="list the cases")
    return parser.parse_args()


def _chosen(only: str) -> list[Case]:
    """Of these faults, with commas between them; or the one case of this name, in which there may be commas."""
    faults = [word.strip() for word in only.split(",") if word.strip()]
    chosen = [case for case in CASES if not faults or case.fault in faults or case.name == only.strip()]
    if not chosen:
        raise SystemExit(f"no case is called {only!r}: --list names them")
    return chosen


async def _run(cases: list[Case], sockets: int, seconds: float) -> list[Result]:
    _write(HEAD)
    results: list[Result] = []
    for case in cases:
        result = await duel.run(case, sockets=sockets, seconds=seconds)
        _write(line_of(result))
        results.append(result)
    return results


def _run_mixture(minutes: float, seed: int, to_file: Path | None) -> int:
    report = asyncio.run(mixture.run(minutes, seed))
    _write(report.as_text())
    if to_file is not None:
        to_file.write_text(json.dumps({**asdict(report), "misses": report.misses}) + "\n")
    return int(bool(report.misses))


def _run_abuser(rounds: int) -> int:
    """0: the p99 of the others is at most a tenth above that without the abuser, and they have lost nothing."""
    total = asyncio.run(comparison.run(rounds, _write))
    return int(total.ratio > comparison.RATIO_MAX or bool(total.lost))


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _as_json(result: Result) -> dict[str, object]:
    # `asdict` counts the items of a Counter in place of copying it.
    as_sets = {"outcomes": dict(result.outcomes), "expected": sorted(result.expected)}
    return {**asdict(result), **as_sets, "misses": result.misses}


def main() -> int:
    arguments = _arguments()
    cases = _chosen(arguments.only)
    if arguments.list:
        for case in cases:
            _write(f"{case.fault:<5} {case.name}")
        return 0
    if arguments.abuser is not None:
        return _run_abuser(arguments.abuser)
    if arguments.mixture is not None:
        return _run_mixture(arguments.mixture, arguments.seed, arguments.json)
    results = asyncio.run(_run(cases, arguments.sockets, arguments.seconds))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([_as_json(result) for result in results], indent=1) + "\n")
    _write("\n".join(["", FAULTS_HEAD, *lines_of_faults(results)]))
    missed = [result for result in results if result.misses]
    _write(f"{len(results)} cases, {len(missed)} beyond their bounds")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
