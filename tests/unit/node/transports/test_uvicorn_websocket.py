"""The fast transport: how much of one socket is handled before the others have their turn."""

import pytest
from tannoy.node.transports.base import SHARE_BYTES, SHARE_FRAMES
from tannoy.shared.codes import CloseCode

from tests.support.client_frames import CONTINUATION, PING, PONG, TEXT, client_frame
from tests.support.clock import on_manual_time, turns
from tests.support.websocket_below import Socket


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
