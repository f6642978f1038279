"""The rates of a session. Nodes of their own: those of all other tests have none."""

from collections.abc import AsyncGenerator

import pytest

from tests.integration.conftest import Connect
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PATIENT

AT_ONCE = 5
REFUSALS = 100
"""So many are tolerated at once."""


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def node(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    """One message an hour, so that none comes back during a test."""
    async with Cluster(nodes=1, transport=request.param, times=PATIENT, RATE_MESSAGES="1/h") as running:
        yield running.nodes[0]


async def test_messages_beyond_the_rate_are_refused_with_their_ids_and_nobody_receives_them(
    node: NodeProcess, connect: Connect
) -> None:
    reader = await connect(node, "/ws/chat/rates", wire="msgpack")
    writer = await connect(node, "/ws/chat/rates")
    for number in range(AT_ONCE + 2):
        await writer.send("message", content=number, id=number)
    answers = [await writer.answer_to(number) for number in range(AT_ONCE + 2)]

    assert [answer["type"] for answer in answers] == ["ok"] * AT_ONCE + ["error"] * 2
    assert {(answer["code"], answer["message"]) for answer in answers[AT_ONCE:]} == {
        ("rate_limited", "too many messages: 1/h are allowed")
    }
    assert all(3500 < answer["retry_after"] <= 3600 for answer in answers[AT_ONCE:])
    assert (await writer.call("ping"))["type"] == "pong"
    frames = await reader.received_since()
    assert [frame["content"] for frame in frames if frame["type"] == "message"] == list(range(AT_ONCE))


async def test_a_client_that_goes_on_is_closed_with_1013_and_both_are_counted(node: NodeProcess) -> None:
    refused, closed = await node.count("connections", "rate_limited"), await node.count("connections", "rate_closed")
    client = await node.connect("/ws/chat/rates")
    for _ in range(AT_ONCE + REFUSALS + 1):
        await client.send("message", content=1)
    bye, code = await client.bye()

    assert code == 1013
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", 1013, True)
    assert bye["retry_after"] >= 5
    assert await node.count("connections", "rate_limited") - refused == REFUSALS + 1
    assert await node.count("connections", "rate_closed") - closed == 1


async def test_what_back_ends_publish_has_no_rate(node: NodeProcess) -> None:
    answers = [
        await node.http.post("/api/v1/rooms/rates/messages", json={"content": 1, "user_id": "ada"})
        for _ in range(AT_ONCE + 2)
    ]

    assert {answer.status_code for answer in answers} == {200}
