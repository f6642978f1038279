"""Clusters that a test may hurt."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.cluster import Cluster


@pytest.fixture(scope="module")
async def one_node(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """A node of the fast transport, shared by the tests of a file."""
    async with Cluster(nodes=1) as running:
        yield running
