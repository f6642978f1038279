"""One target under atheris: `python -m tests.fuzz.guided_process TARGET INPUTS SEED FOLDER`.

Nothing of tannoy is imported before atheris can instrument it: so `targets.py` is imported inside.
"""

import asyncio
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import INPUT_MAX_BYTES


def _write_corpus(corpus: Sequence[bytes], folder: Path) -> None:
    """By this process: the tokens of another one have other times."""
    for number, entry in enumerate(corpus):
        (folder / str(number)).write_bytes(entry)


async def _fuzz(name: str, inputs: int, seed: int, folder: str) -> None:
    """Does not return: libFuzzer ends the process. `folder`: of the corpus, and of an input that crashes."""
    atheris: Any = importlib.import_module("atheris")  # it has no types, and need not be installed
    with atheris.instrument_imports(include=["tannoy"]):
        targets = importlib.import_module("tests.fuzz.targets")
    target = next(each for each in targets.create_targets() if each.name == name)

    def try_input(data: bytes) -> None:
        try:
            target.parse(data)
        except target.expected:
            return

    _write_corpus(target.corpus, Path(folder))
    options = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={INPUT_MAX_BYTES}", f"-artifact_prefix={folder}/"]
    atheris.Setup([name, *options, folder], try_input)
    atheris.Fuzz()


if __name__ == "__main__":
    asyncio.run(_fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
