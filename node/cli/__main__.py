"""`python -m tannoy.node.cli`: the command `tannoy`."""

from .main import main

main()
