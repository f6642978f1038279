"""Publishers over HTTP where something is wrong: the key, the address, the node, or Redis behind it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from tannoy import AsyncPublisher, ManyFailed, PublishRefused, PublishUnavailable, Unauthorized
from tannoy.sdk.errors import PublisherClosed

from tests.support.cluster import Cluster
from tests.support.node import STEADY
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE

Answer = tuple[int, dict[str, Any]]
UNAVAILABLE: Answer = (503, {"code": "unavailable", "detail": "not now", "retry_after": 0})

NOT_FOUND: Answer = (404, {})


class ScriptedNode:
    """Answers requests with what a test has listed, and then with `else_`; None: closes the connection instead."""

    def __init__(self, else_: Answer) -> None:
        self.answers: list[Answer | None] = []
        self.bodies: list[dict[str, Any]] = []
        self.url = ""
        self.else_ = else_

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.bodies.append(orjson.loads(await reader.readexactly(length)))
                answer = self.answers.pop(0) if self.answers else self.else_
                if answer is None:
                    break
                body = orjson.dumps(answer[1])
                writer.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (answer[0], len(body), body))
        except asyncio.IncompleteReadError:
            pass  # the publisher has closed the connection
        finally:
            writer.close()


@asynccontextmanager
async def publishing_to(
    *answers: Answer | None, else_: Answer = (200, {"results": []}), timeout: float = PATIENCE
) -> AsyncGenerator[tuple[ScriptedNode, AsyncPublisher]]:
    """A publisher that is open, and a node that answers its next requests so."""
    node = ScriptedNode((200, {"results": []}))
    async with await asyncio.start_server(node.serve, "127.0.0.1") as server:
        node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncPublisher(node.url, timeout=timeout) as publisher:
            node.bodies.clear()
            node.answers, node.else_ = [*answers], else_
            yield node, publisher
            server.close()


async def test_a_publish_is_repeated_with_its_key_until_it_is_confirmed() -> None:
    confirmed: Answer = (200, {"epoch": "e", "offset": 7})
    async with publishing_to(UNAVAILABLE, None, (502, {}), confirmed) as (node, publisher):
        assert await publisher.to_room("lobby", 1) == ("e", 7)
    assert len(node.bodies) == 4
    assert {body["key"] for body in node.bodies} == {node.bodies[0]["key"]}


async def test_two_publishes_have_two_keys_and_one_of_the_caller_is_kept() -> None:
    async with publishing_to(else_=(200, {})) as (node, publisher):
        assert [await publisher.to_room("lobby", 1, key=key) for key in (None, None, "mine")] == [None] * 3
    keys = [body["key"] for body in node.bodies]
    assert keys[2] == "mine"
    assert len(set(keys)) == 3


async def test_what_is_never_confirmed_is_told_at_the_timeout_with_the_last_reason() -> None:
    async with publishing_to(else_=UNAVAILABLE, timeout=1) as (node, publisher):
        with pytest.raises(PublishUnavailable, match=r"has not confirmed it within 1 s: HTTP 503: not now") as told:
            await publisher.to_agent("42", 1, key="mine")
    assert told.value.key == "mine"
    assert len(node.bodies) > 1


async def test_a_message_to_a_user_is_not_repeated_once_a_node_has_seen_it() -> None:
    async with publishing_to(UNAVAILABLE) as (node, publisher):
        with pytest.raises(PublishUnavailable, match="not now"):
            await publisher.to_user("ada", 1)
    assert len(node.bodies) == 1


async def test_of_many_only_what_was_not_confirmed_is_sent_again() -> None:
    first = (
        {"epoch": "e", "offset": 1},
        {"code": "unavailable", "detail": "not now"},
        {"code": "bad_name", "detail": "no"},
    )
    second = ({"epoch": "e", "offset": 2},)
    async with publishing_to((200, {"results": first}), (200, {"results": second})) as (node, publisher):
        with pytest.raises(ManyFailed, match="1 of 3 messages failed") as failed:
            await publisher.many([{"room": "lobby", "content": n} for n in range(3)])
    assert failed.value.results[:2] == (("e", 1), ("e", 2))
    assert [len(body["messages"]) for body in node.bodies] == [3, 1]
    assert node.bodies[1]["messages"][0] == node.bodies[0]["messages"][1]


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        pytest.param((401, {"code": "bad_token", "detail": "the API key"}), Unauthorized, "bad_token", id="key"),
        pytest.param((429, {"code": "rate_limited", "detail": "too fast"}), PublishRefused, "rate_limited", id="rate"),
        pytest.param((413, {"detail": "a proxy says so"}), PublishRefused, "bad_request", id="no code"),
        pytest.param(NOT_FOUND, PublishRefused, "bad_request", id="no cluster"),
        pytest.param((500, {"code": "of a later version"}), PublishRefused, "internal", id="unknown code"),
    ],
)
async def test_a_refusal_is_told_at_once_by_its_code(answer: Answer, error: type[PublishRefused], code: str) -> None:
    async with publishing_to(answer) as (node, publisher):
        with pytest.raises(error) as refused:
            await publisher.to_room("lobby", 1)
    assert refused.value.code == code
    assert len(node.bodies) == 1


async def test_what_is_being_published_when_the_publisher_is_closed_fails() -> None:
    async with publishing_to(else_=UNAVAILABLE) as (_, publisher):
        publishing = asyncio.create_task(publisher.to_room("lobby", 1))
        await asyncio.sleep(0)
        await publisher.close()
        with pytest.raises(PublisherClosed):
            await publishing


async def test_an_address_without_a_server_is_told_when_the_publisher_is_opened() -> None:
    with pytest.raises(PublishUnavailable, match="has not confirmed it within 1 s: no connection"):
        await AsyncPublisher(f"http://127.0.0.1:{free_port()}", timeout=1).open()


async def test_a_wrong_key_is_told_when_the_publisher_is_opened_and_a_frozen_redis_costs_no_message() -> None:
    async with Cluster(nodes=1, times=STEADY, API_KEY="right") as cluster:
        node = cluster.nodes[0]
        with pytest.raises(Unauthorized, match="the API key is missing or wrong"):
            await AsyncPublisher(node.url, api_key="wrong", timeout=PATIENCE).open()
        listener = await node.connect("/ws/chat/lobby?user_id=ada")
        async with AsyncPublisher(node.url, api_key="right", timeout=PATIENCE) as publisher:
            cluster.valkey.freeze()
            publishing = asyncio.create_task(publisher.many([{"room": "lobby", "content": n} for n in range(3)]))
            await asyncio.wait([publishing], timeout=1.0)  # time for several tries
            cluster.valkey.thaw()
            await publishing
        heard = [frame["content"] for frame in await listener.received_since() if frame["type"] == "message"]
        assert heard == [0, 1, 2]
