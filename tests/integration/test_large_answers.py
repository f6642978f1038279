"""Answers come in pages that every client takes, and a client that reads them slowly is not closed for it."""

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.conftest import Connect
from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.room_messages import publish_batch
from tests.support.waiting import eventually

COMMON_FRAME_LIMIT = 2**20
"""Bytes of the largest frame that a client of `websockets`, among others, takes unless it is told otherwise."""
CONTENT = "x" * 60_000
MESSAGES = 30
both_wires = pytest.mark.parametrize("wire", ["json", "msgpack"])


async def fill(node: NodeProcess, room: str) -> None:
    """Publish MESSAGES messages, 1.8 MB together."""
    for first in range(1, MESSAGES + 1, 10):
        await publish_batch(node, room, *([number, CONTENT] for number in range(first, first + 10)))


def offsets(page: Frame) -> list[int]:
    return [message["offset"] for message in page["messages"]]


async def read_back(client: Client) -> list[int]:
    """All offsets, read from the end to the beginning, as `more` says."""
    page = await client.ok("history", limit=MESSAGES)
    read = offsets(page)
    while page.get("more"):
        page = await client.ok("history", before=read[0], limit=MESSAGES)
        read = offsets(page) + read
    return read


async def read_forth(client: Client) -> list[int]:
    """All offsets, read from the beginning to the end, as `more` says."""
    page = await client.ok("history", since=0, limit=MESSAGES)
    read = offsets(page)
    while page.get("more"):
        page = await client.ok("history", since=read[-1], limit=MESSAGES)
        read += offsets(page)
    return read


@both_wires
async def test_a_history_larger_than_a_frame_may_be_is_read_in_pages(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    await fill(nodes[0], name)
    client = await connect(nodes[1], f"/ws/chat/{name}", wire=wire, max_size=COMMON_FRAME_LIMIT)

    first = await client.ok("history", limit=MESSAGES)
    assert (len(first["messages"]) < MESSAGES, first["more"], offsets(first)[-1]) == (True, True, MESSAGES)
    assert await read_back(client) == await read_forth(client) == list(range(1, MESSAGES + 1))


async def test_a_page_of_small_messages_is_whole(nodes: list[NodeProcess], connect: Connect, name: str) -> None:
    await publish_batch(nodes[0], name, *range(MESSAGES))
    client = await connect(nodes[1], f"/ws/chat/{name}")

    page = await client.ok("history", limit=MESSAGES)

    assert (len(page["messages"]), "more" in page) == (MESSAGES, False)


async def test_a_history_over_http_is_read_in_pages(nodes: list[NodeProcess], name: str) -> None:
    await fill(nodes[0], name)
    path, read = f"/api/v1/rooms/{name}/messages", list[int]()

    page: dict[str, Any] = {"more": True}
    while page.get("more"):
        answer = await nodes[1].http.get(path, params={"since": read[-1] if read else 0, "limit": MESSAGES})
        assert len(answer.content) <= COMMON_FRAME_LIMIT
        page = answer.json()
        read += offsets(page)

    assert read == list(range(1, MESSAGES + 1))


@both_wires
async def test_a_client_that_reads_large_answers_slowly_gets_them_and_all_messages(
    nodes: list[NodeProcess], connect: Connect, name: str, wire: str
) -> None:
    await fill(nodes[0], name)
    client = await connect(nodes[1], f"/ws/chat/{name}", wire=wire)
    overflowed = await nodes[1].count("outbox", "overflowed")
    questions = 20

    client.stop_reading()
    for id in range(1, questions + 1):
        await client.send("history", id=id, limit=MESSAGES)

    async def is_slow() -> bool:
        return await nodes[1].count("outbox", "slow") >= 1

    await eventually(is_slow, what="the node waits for the client")
    published = await publish_batch(nodes[0], name, *range(10))
    await (await connect(nodes[1], f"/ws/chat/{name}")).call("history", since=published[-1]["offset"])
    client.read_on()

    answers = [await client.answer_to(id) for id in range(1, questions + 1)]
    assert [(answer["type"], answer["more"]) for answer in answers] == [("ok", True)] * questions
    assert await client.contents(10) == list(range(10))
    assert await nodes[1].count("outbox", "overflowed") == overflowed


# ---- a small OUTBOX_MAX_BYTES

OUTBOX_MAX_BYTES = 8192
USERNAME = "\U0001f600" * 128


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def small(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(
        nodes=1, transport=request.param, OUTBOX_MAX_BYTES=str(OUTBOX_MAX_BYTES), PRESENCE_INLINE_MAX="0"
    ) as running:
        yield running.nodes[0]


@both_wires
@pytest.mark.parametrize("path", ["/ws/chat/{}", "/ws/agents/{}"])
async def test_presence_larger_than_an_answer_may_be_is_cut_and_counts_all(
    small: NodeProcess, connect: Connect, name: str, wire: str, path: str
) -> None:
    users = 10 if "agents" in path else 20
    for number in range(users - 1):
        await small.connect(f"{path.format(name)}?user_id=user-{number:02}&username={quote(USERNAME)}")
    client = await connect(small, f"{path.format(name)}?user_id=last", wire=wire, max_size=OUTBOX_MAX_BYTES)

    presence = await client.ok("presence")

    assert 0 < len(presence["users"]) < users
    assert (presence["users_count"], presence["more"]) == (users, True)


async def test_a_message_larger_than_a_page_is_a_page_of_its_own(
    small: NodeProcess, connect: Connect, name: str
) -> None:
    await publish_batch(small, name, *(f"{number}{CONTENT}" for number in range(3)))
    client = await connect(small, f"/ws/chat/{name}")

    assert await read_back(client) == await read_forth(client) == [1, 2, 3]
