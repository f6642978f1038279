"""Inputs that coverage guides: what runs code that no input ran before is kept, and changed further.

It needs atheris (libFuzzer for Python), which is not in requirements.lock, since it has no wheels for all platforms:
`.venv/bin/pip install atheris`. libFuzzer ends its process, so each target has one:
`guided_process.py`. Its output says how many places in the code were reached (`cov`).
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz.targets import Target

PROJECT = Path(__file__).parent.parent.parent
MISSING = "--guided needs atheris: .venv/bin/pip install atheris (wheels for Linux and macOS on x86-64 and arm64)"


def run_guided(targets: Sequence[Target], *, inputs: int, seed: int, say: Callable[[str], None]) -> int:
    """Give each target its share of `inputs`; the number of targets with a crash, whose input and error are printed."""
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit(MISSING)
    crashed = 0
    for target in targets:
        with tempfile.TemporaryDirectory() as folder:
            words = (target.name, str(inputs // len(targets)), str(seed), folder)
            command = [sys.executable, "-m", "tests.fuzz.guided_process", *words]
            done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        if done.returncode:
            crashed += 1
            say(f"{target.name}: CRASHED\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        else:
            say(f"{target.name}: {_last_line_with_coverage(done.stderr)}")
    return crashed


def _last_line_with_coverage(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if " cov: " in line), "no line of libFuzzer")
