"""A node with one safety removed: `python -m tests.chaos.mutant NAME --port 8001`, otherwise as tests/support/node.py.

The checker has to find each of them, or a run without violations shows nothing. A mutant is a small function that
patches the product before anything of it is built. Where the code that it patches has changed it raises LookupError:
a mutant that changes nothing could not be found. `limits/mutants.py`, `messages/mutants.py` and
`streams/mutants.py` hold them.
"""

import sys
from collections.abc import Callable

from tests.chaos.limits import mutants as limits
from tests.chaos.messages import mutants as messages
from tests.chaos.streams import mutants as streams
from tests.support import node

MUTANTS: dict[str, Callable[[], None]] = limits.MUTANTS | messages.MUTANTS | streams.MUTANTS


def main() -> int:
    name = sys.argv.pop(1)
    MUTANTS[name]()
    return node.main()


if __name__ == "__main__":
    sys.exit(main())
