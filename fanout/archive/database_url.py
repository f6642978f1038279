"""TANNOY_DATABASE_URL: which database, through which driver. Its errors never quote it, since it holds a password."""

from dataclasses import dataclass, field

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...shared.errors import StartError
from ..external.service import without_credentials

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_ALLOWED = "allowed are sqlite:///FILE and postgresql://USER:PASSWORD@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    url: URL = field(repr=False)
    shown: str
    """Without credentials."""

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"


def parse_database_url(text: str) -> DatabaseUrl:
    """Raises StartError."""
    try:
        url = make_url(text)
        driver = _DRIVERS[url.drivername]
    except (ArgumentError, ValueError, KeyError):
        raise StartError(f"TANNOY_DATABASE_URL has no form that is known: {_ALLOWED}") from None
    if driver.startswith("sqlite") and not url.database:
        raise StartError(f"TANNOY_DATABASE_URL names no file, and what is in memory outlives nothing: {_ALLOWED}")
    return DatabaseUrl(url.set(drivername=driver), without_credentials(text))
