"""Clients that never read: what the kernel keeps for each of them, and for how long."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tannoy.node.server.listeners import SEND_BUFFER_BYTES

from tests.support.cluster import Cluster, NodeProcess
from tests.support.raw_socket import RawSocket
from tests.support.waiting import eventually, value_becomes

READERS = 10
_LISTEN = "0A"


@pytest.fixture
async def node(anyio_backend: str) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, OUTBOX_MAX_BYTES="1000000") as running:
        yield running.nodes[0]


@dataclass(frozen=True)
class KernelSocket:
    """One line of /proc/net/tcp (proc_net_tcp.txt of the kernel's documentation)."""

    port: int
    state: str
    unsent: int
    """Bytes that the peer has not acknowledged."""


def _sockets_of(node: NodeProcess) -> list[KernelSocket]:
    """The node's ends of its connections, also those of no process any more."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    found = (
        KernelSocket(int(words[1].partition(":")[2], 16), words[3], int(words[4].partition(":")[0], 16))
        for words in lines
    )
    return [each for each in found if each.port == node.port and each.state != _LISTEN]


async def test_readers_that_never_read_cost_a_bounded_send_buffer_and_leave_nothing_behind(node: NodeProcess) -> None:
    speaker = await node.connect("/ws/chat/lobby")
    others = len(_sockets_of(node))
    most = 0
    async with AsyncExitStack() as stack:
        for _ in range(READERS):
            reader = await stack.enter_async_context(RawSocket.to(node.port, receive_buffer=4096))
            assert await reader.handshake("/ws/chat/lobby") == 101

        async def have_overflowed() -> bool:
            nonlocal most
            await speaker.ok("message", content="x" * 60_000)
            most = max(most, *(each.unsent for each in _sockets_of(node)))
            return await node.count("outbox", "overflowed") == READERS

        await eventually(have_overflowed, what="the outbox of each reader has overflowed")
        await value_becomes(lambda: node.count("hub", "sessions"), 1)

        async def are_gone() -> bool:
            return len(_sockets_of(node)) <= others

        # 5 s after each was closed. A FIN in place of the reset would leave them there for a minute.
        await eventually(are_gone, within=30, what="the kernel keeps none of them, although all readers are there")
    assert 0 < most <= 2 * SEND_BUFFER_BYTES
