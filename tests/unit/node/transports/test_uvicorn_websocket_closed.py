"""The fast transport behind its close frame: a peer that sends on costs no more than its own close frame needs."""

import pytest
from tannoy.node.transports.base import CLOSED_MAX_BYTES, CLOSED_SHARES_MAX, SHARE_BYTES, SHARE_FRAMES
from tannoy.shared.codes import CloseCode

from tests.support.client_frames import CLOSE, TEXT, client_frame
from tests.support.clock import on_manual_time, turns
from tests.support.websocket_below import Socket

SMALL = client_frame(TEXT, b"x")


def closed_socket() -> Socket:
    socket = Socket()
    socket.protocol.close(CloseCode.TRY_AGAIN_LATER, "too much")
    return socket


@on_manual_time
async def test_the_close_frame_of_a_peer_behind_what_it_had_sent_before_is_read() -> None:
    socket = closed_socket()
    large = client_frame(TEXT, bytes(SHARE_BYTES // 2))
    socket.protocol.data_received(SMALL * SHARE_FRAMES * 2 + large * 4 + client_frame(CLOSE, b"\x03\xe8"))
    await turns(10)
    assert socket.transport.is_closed
    assert socket.listener.messages == []


@on_manual_time
async def test_small_frames_behind_the_close_frame_are_handled_for_some_shares_and_then_not_read() -> None:
    socket = closed_socket()
    socket.protocol.data_received(SMALL * SHARE_FRAMES * (CLOSED_SHARES_MAX + 5))
    await turns(CLOSED_SHARES_MAX + 2)
    assert not socket.transport.reads
    assert len(socket.listener.charged) == CLOSED_SHARES_MAX - 1
    assert not socket.transport.is_closed, "its deadline ends it: a reset could take the close frame with it"


@on_manual_time
async def test_of_large_frames_behind_the_close_frame_so_many_bytes_are_read() -> None:
    socket = closed_socket()
    piece = client_frame(TEXT, bytes(SHARE_BYTES))[: SHARE_BYTES // 2]
    for _ in range(CLOSED_MAX_BYTES // len(piece)):
        socket.protocol.data_received(piece)
        assert socket.transport.reads
        await turns(2)
    socket.protocol.data_received(piece)
    assert not socket.transport.reads


@pytest.mark.parametrize("frames", [b"\xff\xff", SMALL[:1] + b"\x01x"], ids=["reserved", "unmasked"])
@on_manual_time
async def test_what_follows_a_violation_is_dropped_up_to_as_many_bytes(frames: bytes) -> None:
    socket = Socket()
    socket.protocol.data_received(frames)
    assert socket.listener.violation == CloseCode.PROTOCOL_ERROR
    for _ in range(16):
        socket.protocol.data_received(bytes(CLOSED_MAX_BYTES // 16))
    assert socket.transport.reads
    socket.protocol.data_received(b"x")
    assert not socket.transport.reads


@on_manual_time
async def test_a_listener_that_reads_on_does_not_begin_it_again() -> None:
    socket = closed_socket()
    socket.protocol.data_received(bytes(CLOSED_MAX_BYTES + 1))
    socket.protocol.pause_reading()
    socket.protocol.resume_reading()
    await turns(2)
    assert not socket.transport.reads
