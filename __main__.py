"""`python -m tannoy` is the command `tannoy`."""

from .node.cli.main import main

main()
