"""A node with one safety removed: `python -m tests.chaos.mutant NAME node --port 8001` is `tannoy node` with NAME.

The checker has to find each of them, or a run without violations shows nothing. A mutant is a small function that
patches the product before anything of it is built. Where the code that it patches has changed it raises LookupError:
a mutant that changes nothing could not be found. `limits/mutants.py` and `messages/mutants.py` hold them.
"""

import sys
from collections.abc import Callable

from tannoy.node.cli.main import main as tannoy

from tests.chaos.limits import mutants as limits
from tests.chaos.messages import mutants as messages

MUTANTS: dict[str, Callable[[], None]] = limits.MUTANTS | messages.MUTANTS


def main() -> None:
    name, *arguments = sys.argv[1:]
    MUTANTS[name]()
    sys.argv = ["tannoy", *arguments]
    tannoy()


if __name__ == "__main__":
    main()
