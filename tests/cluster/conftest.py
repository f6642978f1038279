"""Clusters in which a test may kill, freeze and cut off nodes and Redis."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.cluster import Cluster

LONG_HISTORY = {"HISTORY_SIZE": "10000", "OUTBOX_MAX_BYTES": "100000000"}
"""Settings with which no message of a test is trimmed, and no recovery is too large."""
READY_AGAIN_SECONDS = 10.0
"""In which all nodes are ready once Redis is back."""


@pytest.fixture(scope="module")
async def one_node(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """A node of the fast transport, shared by the tests of a file."""
    async with Cluster(nodes=1) as running:
        yield running
