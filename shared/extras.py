"""What a part of Tannoy needs that `pip install tannoy` alone may not bring."""

from collections.abc import Iterable
from importlib.util import find_spec

SERVER_PACKAGES = ("starlette", "uvicorn", "uvloop", "httptools", "hiredis", "structlog", "typer", "rich")
"""What `tannoy.node` imports, by the names of the modules."""


class MissingExtra(ImportError):
    """A part of Tannoy was imported whose packages are not installed. The message names the extra that brings them."""


def require_extra(extra: str, packages: Iterable[str], *, importer: str) -> None:
    """Check that `packages`, which `importer` needs, can be imported. Raises MissingExtra."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingExtra(
            f"{importer} needs {', '.join(missing)}, not installed here: pip install 'tannoy[{extra}]'", name=missing[0]
        )
