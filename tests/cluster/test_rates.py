"""Rates of users and agents, which hold on all nodes."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.client import Client
from tests.support.cluster import Cluster
from tests.support.node import PATIENT
from tests.support.waiting import eventually

AT_ONCE = 500
"""So many may be sent at once; almost none comes back during a test."""


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=PATIENT, RATE_USER_MESSAGES="100/h", RATE_AGENT_MESSAGES="100/h") as running:
        yield running


async def send_all(client: Client) -> int:
    """How many messages are admitted until one is refused."""
    for admitted in range(2 * AT_ONCE):
        answer = await client.call("message", content=admitted)
        if answer["type"] == "error":
            assert answer["code"] == "rate_limited"
            assert answer["retry_after"] > 0
            return admitted
    raise AssertionError("nothing was refused")


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ("/ws/chat/a?user_id=ada", "/ws/chat/b?user_id=ada", "user"),
        ("/ws/agents/42?user_id=bob", "/ws/agents/42?user_id=cy", "agent"),
    ],
    ids=["user", "agent"],
)
async def test_who_has_sent_all_on_one_node_is_soon_refused_on_another(
    cluster: Cluster, first: str, second: str, what: str
) -> None:
    """The other node learns of it with its first message, which it admits, and a few more until Redis has answered."""
    one, other = await cluster.nodes[0].connect(first), await cluster.nodes[1].connect(second)
    assert await send_all(one) in range(AT_ONCE, AT_ONCE + 10)
    admitted = 0

    async def is_refused() -> bool:
        nonlocal admitted
        answer = await other.call("message", content=1)
        admitted += answer["type"] == "ok"
        return answer.get("message") == f"too many messages of this {what}: 100/h are allowed"

    await eventually(is_refused, what="the other node refuses a message")
    assert admitted < AT_ONCE
    assert (await other.call("ping"))["type"] == "pong"
