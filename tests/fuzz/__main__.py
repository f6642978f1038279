"""The command line of the fuzzer.

    python -m tests.fuzz --inputs 1000000            all targets, a share for each
    python -m tests.fuzz --only tokens,resp3 --seed 7
    python -m tests.fuzz --guided --inputs 1000000   guided by coverage, with atheris

Exits with 0 if no input raised anything but a documented exception and memory did not grow, else with 1.
"""

import argparse
import asyncio
import sys

from tests.fuzz.guided import run_guided
from tests.fuzz.run import run
from tests.fuzz.targets import create_targets

GROWTH_MAX_BYTES = 1_048_576
"""Of resident memory in a run, behind the warm-up: what the allocator of Python does not give back."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Inputs for everything that parses.")
    parser.add_argument("--inputs", type=int, default=100_000, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", action="store_true", help="by coverage; needs atheris, see tests/fuzz/guided.py")
    parser.add_argument("--only", default="", help="targets, with commas between them")
    return parser.parse_args()


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _main() -> int:
    arguments = _arguments()
    chosen = {name.strip() for name in arguments.only.split(",") if name.strip()}
    targets = create_targets()
    if unknown := chosen - {target.name for target in targets}:
        raise SystemExit(f"no target {', '.join(sorted(unknown))}: there are {' '.join(t.name for t in targets)}")
    taken = [target for target in targets if not chosen or target.name in chosen]
    if arguments.guided:
        return int(run_guided(taken, inputs=arguments.inputs, seed=arguments.seed, say=_write) > 0)
    report = run(taken, inputs=arguments.inputs, seed=arguments.seed, say=_write)
    _write(report.as_text())
    return 0 if report.crashes == 0 and report.growth_bytes <= GROWTH_MAX_BYTES else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
