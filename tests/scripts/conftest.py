from collections.abc import AsyncGenerator

import pytest

from tests.support.valkey import Valkey


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running
