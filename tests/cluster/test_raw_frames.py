"""Frames that break RFC 6455, against the framing of the fast transport; under the portable one the server frames."""

import asyncio
import json
import struct

import pytest

from tests.support.client_frames import CONTINUATION, PING, PONG, TEXT, client_frame
from tests.support.cluster import Cluster
from tests.support.raw_socket import RawSocket


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x81\x01x", 1002),
        (b"\x81\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0", 1009),
    ],
    ids=["invalid UTF-8", "reserved opcode", "reserved bit", "no mask", "a terabyte announced"],
)
async def test_a_frame_that_breaks_the_rfc_gets_bye_and_the_close_code_it_asks_for(
    one_node: Cluster, frame: bytes, code: int
) -> None:
    async with RawSocket.to(one_node.nodes[0].port) as socket:
        assert await socket.handshake("/ws") == 101
        assert (await socket.object())["type"] == "welcome"

        await socket.send(frame)

        bye = await socket.object()
        assert (bye["type"], bye["code"]) == ("bye", code)
        assert await socket.close_code() == code


async def test_the_announced_length_of_a_frame_is_not_allocated(one_node: Cluster) -> None:
    """A thousand sockets announce a gigabyte each and send some of it: each is closed by its header alone."""
    announced = b"\x82\xff" + struct.pack(">Q", 1 << 30) + b"\0\0\0\0" + b"x" * 10_000

    for _ in range(1000):
        async with RawSocket.to(one_node.nodes[0].port) as socket:
            await socket.handshake("/ws")
            await socket.send(announced)
            assert await socket.close_code() == 1009

    assert await one_node.nodes[0].count("hub", "sessions") == 0


async def test_bye_arrives_although_the_client_is_still_sending(one_node: Cluster) -> None:
    """A reset would make the client's system drop `bye`: megabytes are still under way when the node closes."""
    async with RawSocket.to(one_node.nodes[0].port) as socket:
        await socket.handshake("/ws")
        await socket.object()
        size = 4 * 1024 * 1024

        await socket.send(b"\x82\xff" + struct.pack(">Q", size) + b"\0\0\0\0" + b"x" * size)

        assert (await socket.object())["code"] == 1009
        assert await socket.close_code() == 1009


FLOOD = 20_000
"""Frames of one write."""


@pytest.mark.parametrize(
    ("start", "frame"),
    [
        (b"", client_frame(PONG)),
        (b"", client_frame(PING)),
        (client_frame(TEXT, fin=False), client_frame(CONTINUATION, fin=False)),
        (b"", client_frame(TEXT, b'{"type":"pong"}')),
    ],
    ids=["pongs", "pings", "empty fragments", "commands without an answer"],
)
async def test_a_client_that_sends_frames_without_end_gets_bye_and_4505(
    one_node: Cluster, start: bytes, frame: bytes
) -> None:
    node = one_node.nodes[0]
    before = await node.count("connections", "flooding")
    async with RawSocket.to(node.port) as socket:
        await socket.handshake("/ws")
        await socket.object()

        await socket.send(start)
        flooding = asyncio.create_task(socket.send_until_closed(frame * FLOOD))
        while (received := await socket.frame())[0] == PONG:
            pass

        bye = json.loads(received[1])
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", 4505, False)
        assert await socket.close_code() == 4505
        await flooding
    assert await node.count("connections", "flooding") == before + 1


async def test_a_burst_of_a_thousand_messages_is_answered(one_node: Cluster) -> None:
    async with RawSocket.to(one_node.nodes[0].port) as socket:
        await socket.handshake("/ws/chat/burst")
        await socket.send(
            b"".join(
                client_frame(TEXT, b'{"type":"message","content":%d,"id":%d}' % (number, number))
                for number in range(1000)
            )
        )
        answers = 0
        while answers < 1000:
            answers += (await socket.object())["type"] == "ok"
