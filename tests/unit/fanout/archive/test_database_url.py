import pytest
from tannoy.fanout.archive.database_url import parse_database_url
from tannoy.shared.errors import StartError


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///tannoy.db", "sqlite+aiosqlite"),
        ("postgresql://ada:secret@db/tannoy", "postgresql+asyncpg"),
        ("postgres://ada:secret@db/tannoy", "postgresql+asyncpg"),
        ("postgresql+asyncpg://db/tannoy", "postgresql+asyncpg"),
    ],
)
def test_a_url_gets_the_driver_of_its_database(text: str, driver: str) -> None:
    assert parse_database_url(text).url.drivername == driver


@pytest.mark.parametrize("text", ["", "mysql://ada:secret@db/tannoy", "secret", "postgresql+psycopg://a:secret@db/t"])
def test_a_url_of_another_database_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(StartError, match="TANNOY_DATABASE_URL has no form that is known") as refused:
        parse_database_url(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["sqlite://", "sqlite:///"])
def test_sqlite_in_memory_is_refused(text: str) -> None:
    with pytest.raises(StartError, match="names no file, and what is in memory outlives nothing"):
        parse_database_url(text)


def test_the_password_is_neither_shown_nor_represented() -> None:
    url = parse_database_url("postgresql://ada:secret@db:5432/tannoy")

    assert url.shown == "postgresql://db:5432/tannoy"
    assert "secret" not in repr(url)
