"""A node beyond what it may use refuses newcomers, serves those who are in, and takes newcomers again by itself.

One node with a low maximum of each resource. Each test takes it beyond one of them, and waits until it is back.
"""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest

from tests.support.cluster import Cluster, NodeProcess
from tests.support.raw_http import HANDSHAKE, RawHttp
from tests.support.raw_socket import RawSocket
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")

PUBLISH = "/api/v1/rooms/lobby/messages"
REQUESTS = 8 * b"GET /diagnostics HTTP/1.1\r\nHost: localhost\r\n\r\n"
BURSTS = 20
"""Of requests between two looks, so that the pause before a look does not count."""
FROZEN_SECONDS, AWAKE_SECONDS = 0.8, 0.1


@pytest.fixture(scope="module")
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    """One that has nothing to do has some 60 MB, and takes 2 % of a core."""
    async with Cluster(
        nodes=1,
        OUTBOX_MAX_BYTES="500000000",
        MESSAGE_MAX_BYTES="300000",
        HISTORY_SIZE="0",
        MEMORY_MAX_MB="150",
        CPU_MAX_PERCENT="20",
        LOOP_LAG_MAX_MS="500",
    ) as running:
        yield running.nodes[0]


async def _is_exceeded(node: NodeProcess, name: str) -> bool:
    return name in (await node.diagnostics())["resources"]["exceeded"]


async def _handshake(node: NodeProcess) -> int:
    async with RawSocket.to(node.port) as socket:
        return await socket.handshake("/ws")


@asynccontextmanager
async def _unharmed(node: NodeProcess) -> AsyncGenerator[None]:
    """A session that is there before lives on, and is served, until the node takes newcomers again."""
    client = await node.connect("/ws/chat/hall")
    yield
    await client.ok("message", content="still here")
    assert await client.contents(1) == ["still here"]
    await eventually(node.is_ready, what="the node is ready again")
    assert await _handshake(node) == 101
    await client.ok("message", content="and now")
    await client.close()


async def _check_refused(node: NodeProcess, setting: str, counter: str) -> None:
    """A handshake is refused, which is counted, and a load balancer is told why."""
    async with RawHttp.to(node.port) as http:
        answer = await http.request(f"GET /ws HTTP/1.1\nHost: localhost\n{HANDSHAKE}")

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    problem = answer.json()
    assert (problem["code"], problem["retry_after"]) == ("unavailable", 5)
    assert f"overloaded, by TANNOY_{setting}:" in problem["detail"]
    ready = await node.http.get("/health/ready")
    assert (ready.status_code, ready.json()["reason"]) == (503, problem["detail"])
    assert await node.count("refused", counter) == 1
    assert await node.has_logged(f"setting=TANNOY_{setting}")


async def test_a_node_beyond_its_memory_refuses_newcomers_until_it_has_freed_some(node: NodeProcess) -> None:
    async with _unharmed(node):
        async with RawSocket.to(node.port, receive_buffer=4096) as reader:
            assert await reader.handshake("/ws/chat/lobby") == 101

            async def has_grown() -> bool:
                """By messages that wait for a client that does not read."""
                for _ in range(15):
                    (await node.http.post(PUBLISH, json={"content": "x" * 240_000})).raise_for_status()
                return await _is_exceeded(node, "memory")

            await eventually(has_grown, what="the node is beyond its memory")
            await _check_refused(node, "MEMORY_MAX_MB", "memory")


async def test_a_node_beyond_its_cpu_refuses_newcomers_until_it_has_less_to_do(node: NodeProcess) -> None:
    async with _unharmed(node), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawHttp.to(node.port)) for _ in range(8)]

        async def is_busy() -> bool:
            """On a busy machine too, where this test gets less of a core: the answers take most."""
            for _ in range(BURSTS):
                for http in clients:
                    await http.send(REQUESTS)
                for http in clients:
                    for _ in range(8):
                        assert (await http.answer()).status == 200
            return await _is_exceeded(node, "cpu")

        await eventually(is_busy, what="the node is beyond its CPU")
        await _check_refused(node, "CPU_MAX_PERCENT", "cpu")


async def test_a_node_that_is_late_refuses_newcomers_until_it_is_in_time(node: NodeProcess) -> None:
    async with _unharmed(node):

        async def is_late() -> bool:
            """It stands still most of the time, as in a container with too small a share of the CPU."""
            node.signal(signal.SIGSTOP)
            await asyncio.sleep(FROZEN_SECONDS)
            node.signal(signal.SIGCONT)
            await asyncio.sleep(AWAKE_SECONDS)
            return await _is_exceeded(node, "loop_lag")

        await eventually(is_late, what="the node is late")
        await _check_refused(node, "LOOP_LAG_MAX_MS", "loop_lag")


@contextmanager
def _limited_files(node: NodeProcess, limit: int) -> Generator[None]:
    limits = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, limits)


async def _check_no_files(node: NodeProcess) -> None:
    async with RawHttp.to(node.port) as http:
        answer = await http.request(f"GET /ws HTTP/1.1\nHost: localhost\n{HANDSHAKE}")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    ready = await node.http.get("/health/ready")
    assert (ready.status_code, "limit of open files" in ready.json()["reason"]) == (503, True)


async def test_a_node_whose_sessions_use_up_its_files_refuses_newcomers_until_it_may_open_more(
    node: NodeProcess,
) -> None:
    async with _unharmed(node), AsyncExitStack() as stack:
        with _limited_files(node, 80):

            async def is_full() -> bool:
                socket = await stack.enter_async_context(RawSocket.to(node.port))
                return await socket.handshake("/ws") == 503 and await _is_exceeded(node, "files")

            await eventually(is_full, what="the files of the node are used up")
            await _check_no_files(node)


async def test_a_node_whose_files_are_used_up_by_silent_connections_is_not_ready_until_they_have_gone(
    node: NodeProcess,
) -> None:
    async with _unharmed(node):
        with _limited_files(node, 80):
            async with AsyncExitStack() as stack:

                async def is_full() -> bool:
                    """None is a session, and each is closed after some seconds."""
                    for _ in range(20):
                        await stack.enter_async_context(RawHttp.to(node.port))
                    return await _is_exceeded(node, "files")

                await eventually(is_full, what="the files of the node are used up")
                await _check_no_files(node)
                assert await node.count("connections", "open") == 1  # the one that is to be unharmed
            await eventually(node.is_ready, what="the node is ready below its limit")
