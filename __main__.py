"""`python -m tannoy` is the command `tannoy`."""

import sys

from .shared.extras import MissingExtra


def main() -> None:
    """Run the command line. Where it is not installed, the sentence that names its extra is all that is said."""
    try:
        from .node.cli.main import main as run
    except MissingExtra as error:
        sys.exit(f"tannoy: {error}")
    run()


if __name__ == "__main__":
    main()
