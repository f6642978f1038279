import pytest
from tannoy.fanout.external.service import without_credentials


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@db.internal:5432/tannoy", "postgresql://db.internal:5432/tannoy"),
        ("postgresql://db/tannoy?password=secret&sslmode=require", "postgresql://db/tannoy"),
        ("https://:secret@hooks.example/t#secret", "https://hooks.example/t"),
        ("rediss://ada:secret@[::1]:6380/2", "rediss://[::1]:6380/2"),
        ("sqlite:////var/lib/tannoy.db", "sqlite:////var/lib/tannoy.db"),
        ("sqlite:///tannoy.db", "sqlite:///tannoy.db"),
        ("secret", "(not a URL)"),
        ("http://ada:secret@host:port/", "(not a URL)"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
