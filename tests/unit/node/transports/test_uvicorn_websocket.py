"""The fast transport: how much of one socket is handled before the others have their turn."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tannoy.node.admission.handshake import Handshake
from tannoy.node.transports.base import SHARE_BYTES, SHARE_FRAMES, ClientTransport, ConnectionFactory
from tannoy.node.transports.uvicorn_websocket import TRANSPORT_HIGH_WATER, TannoyWebSocketProtocol
from tannoy.shared.codes import CloseCode

from tests.support.client_frames import CONTINUATION, PING, PONG, TEXT, client_frame
from tests.support.clock import on_manual_time, turns

HANDSHAKE = Handshake(
    "/ws",
    "",
    {
        "host": "127.0.0.1",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    },
)


class SocketTransport(asyncio.Transport):
    """A socket whose peer reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reads = True
        self.is_closed = False

    def write(self, data: object) -> None:
        self.written += cast(bytes, data)

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_reading(self) -> bool:
        return self.reads

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...


class Listener:
    """Keeps what comes; after `pause_after` messages it pauses reading."""

    def __init__(self, transport: ClientTransport) -> None:
        self.transport = transport
        self.messages: list[bytes] = []
        self.pings = 0
        self.violation: int | None = None
        self.pause_after: int | None = None
        self.charged: list[int] = []
        self.frames_allowed = 1_000_000

    def on_message(self, payload: bytes, binary: bool) -> None:
        self.messages.append(payload)
        if len(self.messages) == self.pause_after:
            self.transport.pause_reading()

    def on_ping(self, payload: bytes) -> None:
        self.pings += 1

    def charge_frames(self, frames: int) -> bool:
        self.charged.append(frames)
        return sum(self.charged) <= self.frames_allowed

    def on_violation(self, code: int, reason: str) -> None:
        self.violation = code

    def on_opened(self) -> None: ...
    def on_writing_paused(self) -> None: ...
    def on_writing_resumed(self) -> None: ...
    def on_close_sent(self) -> None: ...
    def on_closed(self, code: int | None = None) -> None: ...


class Admission:
    """A node that admits every handshake."""

    message_max_bytes = 1_000_000
    write_high_water = TRANSPORT_HIGH_WATER
    listener: Listener

    def admit(self, handshake: Handshake) -> Any:
        return SimpleNamespace(subprotocol=None)

    def connect(self, transport: ClientTransport, decision: object) -> Listener:
        self.listener = Listener(transport)
        return self.listener


class Socket:
    """One socket that has been accepted."""

    def __init__(self) -> None:
        node = Admission()
        self.transport = SocketTransport()
        self.protocol = TannoyWebSocketProtocol(cast(ConnectionFactory, node))
        self.protocol.connection_made(self.transport)
        self.protocol.open(HANDSHAKE, None)
        self.listener = node.listener


def numbered(count: int, first: int = 0) -> bytes:
    return b"".join(client_frame(TEXT, b"%d" % number) for number in range(first, first + count))


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@on_manual_time
async def test_a_socket_that_has_used_up_its_frames_waits_for_the_next_turn() -> None:
    socket = Socket()
    socket.protocol.data_received(numbered(3 * SHARE_FRAMES))

    assert socket.listener.messages == numbers(SHARE_FRAMES)
    assert not socket.transport.reads
    await turns(1)
    assert socket.listener.messages == numbers(2 * SHARE_FRAMES)
    await turns(2)
    assert socket.listener.messages == numbers(3 * SHARE_FRAMES)
    assert socket.transport.reads


@on_manual_time
async def test_a_socket_that_has_used_up_its_bytes_waits_for_the_next_turn() -> None:
    socket = Socket()
    socket.protocol.data_received(3 * client_frame(TEXT, b"a" * SHARE_BYTES))

    assert len(socket.listener.messages) == 1
    await turns(1)
    assert len(socket.listener.messages) == 2


@on_manual_time
async def test_the_share_holds_over_several_reads_of_one_turn() -> None:
    socket = Socket()
    for number in range(2 * SHARE_FRAMES):
        socket.protocol.data_received(numbered(1, number))

    assert socket.listener.messages == numbers(SHARE_FRAMES)
    await turns(2)
    assert socket.listener.messages == numbers(2 * SHARE_FRAMES)


@pytest.mark.parametrize("frame", [client_frame(PING), client_frame(CONTINUATION, fin=False)], ids=["ping", "fragment"])
@on_manual_time
async def test_frames_that_are_no_messages_count_too(frame: bytes) -> None:
    socket = Socket()
    socket.protocol.data_received(client_frame(TEXT, b"", fin=False) + SHARE_FRAMES * frame + client_frame(PING))

    assert socket.listener.pings < SHARE_FRAMES
    assert not socket.transport.reads
    pings = socket.listener.pings
    await turns(1)
    assert socket.listener.pings > pings


@on_manual_time
async def test_what_was_read_behind_a_pause_waits_until_reading_is_resumed() -> None:
    socket = Socket()
    socket.listener.pause_after = 3
    socket.protocol.data_received(numbered(10))

    await turns(5)
    assert socket.listener.messages == numbers(3)
    socket.protocol.resume_reading()
    await turns(1)
    assert socket.listener.messages == numbers(10)
    assert socket.transport.reads


@on_manual_time
async def test_a_frame_that_is_cut_by_the_end_of_a_read_is_read_whole_after_the_break() -> None:
    socket = Socket()
    data = numbered(SHARE_FRAMES + 2)
    socket.protocol.data_received(data[:-1])
    await turns(2)
    socket.protocol.data_received(data[-1:])

    assert socket.listener.messages == numbers(SHARE_FRAMES + 2)


@on_manual_time
async def test_a_violation_behind_the_share_ends_the_connection_in_its_turn() -> None:
    socket = Socket()
    socket.protocol.data_received(numbered(SHARE_FRAMES) + b"\xff\xff")

    assert socket.listener.violation is None
    await turns(1)
    assert socket.listener.violation == CloseCode.PROTOCOL_ERROR


@on_manual_time
async def test_nothing_is_handled_after_the_connection_is_lost() -> None:
    socket = Socket()
    socket.protocol.data_received(numbered(2 * SHARE_FRAMES))
    socket.protocol.connection_lost(None)
    await turns(2)

    assert socket.listener.messages == numbers(SHARE_FRAMES)


@pytest.mark.parametrize(
    "frame",
    [client_frame(TEXT), client_frame(PING), client_frame(PONG), client_frame(CONTINUATION, fin=False)],
    ids=["message", "ping", "pong", "empty fragment"],
)
@on_manual_time
async def test_every_share_is_charged_whatever_its_frames_are(frame: bytes) -> None:
    socket = Socket()
    start = client_frame(TEXT, fin=False) if frame[0] == CONTINUATION else b""
    socket.protocol.data_received(start + frame * (2 * SHARE_FRAMES + 1))
    await turns(2)

    assert socket.listener.charged == [SHARE_FRAMES, SHARE_FRAMES]


@on_manual_time
async def test_a_share_of_large_frames_is_charged_by_their_number() -> None:
    socket = Socket()
    socket.protocol.data_received(2 * client_frame(TEXT, b"a" * SHARE_BYTES))
    await turns(2)

    assert socket.listener.charged == [1, 1]


@on_manual_time
async def test_a_socket_that_sends_slowly_is_charged_for_its_frames_too() -> None:
    socket = Socket()
    for number in range(SHARE_FRAMES + 1):
        socket.protocol.data_received(numbered(1, number))
        await turns(1)

    assert socket.listener.charged == [SHARE_FRAMES]


@on_manual_time
async def test_a_client_that_sends_too_many_frames_gets_4505_and_nothing_else_of_it_is_handled() -> None:
    socket = Socket()
    socket.listener.frames_allowed = 2 * SHARE_FRAMES
    socket.protocol.data_received(numbered(10 * SHARE_FRAMES))
    await turns(4)
    socket.protocol.data_received(numbered(1))

    assert socket.listener.violation == CloseCode.BAD_FRAMES
    assert socket.listener.messages == numbers(3 * SHARE_FRAMES)
    assert socket.transport.reads  # and drops what it reads, so that the close frame is not lost by a reset
