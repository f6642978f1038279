"""The events of streams, as the bus brings them: read into types, or refused."""

import pytest
from tannoy.fanout.pubsub.stream_events import check_text, mark_of_end, pack_header, unpack_end, unpack_event
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.names import StreamId, UserId
from tannoy.shared.publication import EncodedMessage
from tannoy.shared.streams import STREAM_MARK, StreamEnd, StreamHeader, StreamPiece, StreamSnapshot, StreamStatus

HEADER = StreamHeader(StreamId("a"), UserId("ada"), "Ada", {"é": [1, None]}, "2026-01-01T00:00:00.000Z")
NOTHING = EncodedMessage(b"", b"")


def unpack(data: bytes) -> object:
    return unpack_event(data, lambda kind, stream_id, body: body).event


def test_a_beginning_is_read_with_its_header() -> None:
    assert unpack(b"\x07sa " + pack_header(HEADER)) == StreamSnapshot(HEADER)


def test_a_piece_is_read_with_its_position_whatever_its_text_is() -> None:
    assert unpack(b"\x07da 12  7 \x07d ") == StreamPiece(StreamId("a"), 12, b" 7 \x07d ")


def test_an_event_has_the_mark_by_which_the_relay_finds_it() -> None:
    assert unpack_event(b"\x07da 0 x", lambda kind, stream_id, body: body).exclude == STREAM_MARK


def test_an_end_is_read_from_its_mark() -> None:
    end = StreamEnd(StreamId("a"), 12, StreamStatus.STOPPED)
    assert unpack_end(mark_of_end(end), NOTHING, "e", 3).event == end


@pytest.mark.parametrize(
    "data",
    [
        b"\x07",
        b"\x07xa 0 text",
        b"\x07d",
        b"\x07da text",
        b"\x07da -1 text",
        b"\x07da 99999999999999999 text",
        b"\x07da/b 0 text",
        b"\x07da 0 \xff",
        b"\x07sa ",
        b"\x07sa \xc1",
        b"\x07sa \x93\x01\x02\x03",
        b"\x07sa \x94\x01\xc0\xc0\xa1x",
    ],
)
def test_an_event_that_no_node_has_written_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        unpack(data)


@pytest.mark.parametrize("mark", ["", "a", "a 1", "a x done", "a 1 gone", "a/b 1 done", f"a {2**53} done"])
def test_an_end_that_no_node_has_written_is_refused(mark: str) -> None:
    with pytest.raises(MalformedBytes):
        unpack_end(mark, NOTHING)


def test_half_a_character_is_not_the_text_of_a_stream() -> None:
    with pytest.raises(MalformedBytes):
        check_text("é".encode()[:1])
