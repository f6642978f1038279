from collections.abc import AsyncGenerator

import pytest

from tests.support.owner_leases import OwnerLeases
from tests.support.valkey import Valkey


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
async def rejecting(valkey: Valkey) -> OwnerLeases:
    owner = OwnerLeases(valkey, max=2, policy="reject")
    await owner.identify_server()
    await owner.send_heartbeats("n1", "n2")
    return owner


@pytest.fixture
async def evicting(valkey: Valkey) -> OwnerLeases:
    owner = OwnerLeases(valkey, max=2, policy="evict_oldest")
    await owner.identify_server()
    await owner.send_heartbeats("n1", "n2", "n3")
    return owner
