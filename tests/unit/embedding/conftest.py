"""structlog is configured by what is tested here: each test leaves it as it was."""

from collections.abc import Generator

import pytest

from tests.support.hosted import own_logs


@pytest.fixture(autouse=True)
def logs() -> Generator[None]:
    with own_logs():
        yield
