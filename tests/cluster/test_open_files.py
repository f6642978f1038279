"""A node whose open files are used up serves those who are in, and tells newcomers so."""

import asyncio
import os
import resource
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import PRODUCT, STEADY
from tests.support.raw_http import RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.waiting import eventually

LIMIT = 80


async def _diagnostics(http: RawHttp) -> dict[str, Any]:
    """Over a connection that is there already."""
    return (await http.request("GET /diagnostics HTTP/1.1\nHost: localhost")).json()


async def _heartbeats_go_on(http: RawHttp) -> None:
    """Wait for as many as a lease lasts."""
    before = (await _diagnostics(http))["membership"]["beats"]

    async def have_come() -> bool:
        return bool((await _diagnostics(http))["membership"]["beats"] >= before + 4)

    await eventually(have_come, what="four heartbeats")
    assert (await _diagnostics(http))["membership"]["valid"]


async def _limit_files(http: RawHttp, limit: int | None = None) -> None:
    """From now on the node may open so many files; by default it can open none beyond those that are open."""
    pid = (await _diagnostics(http))["pid"]
    numbers = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
    lowest = limit or next(number for number in range(len(numbers) + 1) if number not in numbers)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, lowest))


@pytest.fixture(params=[Transport.FAST, Transport.PORTABLE, Transport.HYPERCORN], ids=str)
async def node(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, transport=request.param, times=STEADY) as running:
        yield running.nodes[0]


async def _handshake(stack: AsyncExitStack, node: NodeProcess) -> int:
    socket = await stack.enter_async_context(RawSocket.to(node.port))
    return await socket.handshake("/ws")


async def test_newcomers_over_the_limit_get_503_and_sessions_go_on(node: NodeProcess) -> None:
    first = await node.connect("/ws/chat/lobby")
    async with RawHttp.to(node.port) as http, AsyncExitStack() as stack:
        await _limit_files(http, LIMIT)

        statuses = [await _handshake(stack, node) for _ in range(90)]

        admitted = statuses.count(101)
        assert admitted > 20
        assert statuses == [101] * admitted + [503] * (90 - admitted)
        await _heartbeats_go_on(http)
        await first.ok("message", content="still here")
        assert await first.contents(1) == ["still here"]
        assert (await _diagnostics(http))["refused"]["files"] == 90 - admitted
    assert "Traceback" not in node.log()


async def test_each_newcomer_of_a_burst_over_the_limit_gets_an_answer() -> None:
    """On the fast transport. Other servers accept more than they have files for, and close what they can't accept."""
    async with Cluster(nodes=1, times=STEADY) as running, AsyncExitStack() as stack:
        node = running.nodes[0]
        async with RawHttp.to(node.port) as http:
            await _limit_files(http, LIMIT)

            statuses = await asyncio.gather(*(_handshake(stack, node) for _ in range(300)))

            assert set(statuses) <= {101, 503}
            assert 503 in statuses  # and 101 only for those that come before the node takes itself for overloaded
            assert (await _diagnostics(http))["refused"]["files"] == statuses.count(503)


async def test_silent_newcomers_over_the_limit_do_not_keep_others_from_an_answer() -> None:
    async with Cluster(nodes=1, times=STEADY) as running, AsyncExitStack() as stack:
        node = running.nodes[0]
        async with RawHttp.to(node.port) as http:
            await _limit_files(http, LIMIT)

            silent = [await stack.enter_async_context(RawHttp.to(node.port)) for _ in range(90)]

            assert (await silent[-1].answer()).status == 503
            assert await _handshake(stack, node) == 503


async def test_a_node_that_can_open_no_file_at_all_serves_those_who_are_in(node: NodeProcess) -> None:
    ada = await node.connect("/ws/chat/lobby?user_id=ada")
    bob = await node.connect("/ws/agents/42?user_id=bob")
    async with RawHttp.to(node.port) as http:
        await _limit_files(http)

        await _heartbeats_go_on(http)
        await ada.ok("message", content=1)
        assert (await ada.ok("private", to="bob", content=2))["sessions"] == 1
        assert len((await ada.ok("history"))["messages"]) == 1
        assert (await bob.ok("presence"))["users_count"] == 1
        assert (await ada.call("shout"))["code"] == "bad_request"
        assert (await http.request("POST /api/v1/rooms/lobby/messages HTTP/1.1\nHost: localhost")).status == 400
        for path in ("/", "/static/chat.js", "/health/live", "/api/v1/nodes", "/api/v1/rooms/lobby/presence"):
            assert (await http.request(f"GET {path} HTTP/1.1\nHost: localhost")).status == 200, path
        assert (await http.request("GET /health/ready HTTP/1.1\nHost: localhost")).status == 503  # for newcomers
        await ada.send_raw("{")
        await bob.close()
        await ada.ok("leave", room="lobby")
    assert "Traceback" not in node.log()


async def test_a_node_says_at_start_that_it_may_open_too_few_files() -> None:
    async with Cluster(nodes=1, times=PRODUCT, NODE_MAX_SESSIONS="10000000") as running:
        assert running.nodes[0].log().count("sessions of the TANNOY_NODE_MAX_SESSIONS=10000000") == 1
