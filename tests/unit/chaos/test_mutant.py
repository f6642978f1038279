"""Each mutant still finds the code that it patches: a renamed method shows here, and not only in the long runs."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent.parent

APPLY_EACH_IN_A_PROCESS_OF_ITS_OWN = """
import os, traceback
from tests.chaos.mutant import MUTANTS

for name, mutate in MUTANTS.items():
    if not os.fork():
        try:
            mutate()
        except LookupError:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.wait()
    if status:
        print(name)
print(len(MUTANTS), "mutants")
"""


def test_each_mutant_finds_the_code_that_it_patches() -> None:
    applied = subprocess.run(
        [sys.executable, "-c", APPLY_EACH_IN_A_PROCESS_OF_ITS_OWN],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )

    *failed, count = applied.stdout.splitlines()
    assert (failed, count != "0 mutants") == ([], True), applied.stderr
