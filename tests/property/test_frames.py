"""The frame reader over generated streams of frames and of random bytes, in chunks of any size."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from tannoy.node.rfc6455 import Event, FrameReader, Opcode, frame
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import ProtocolViolation

from tests.support.client_frames import client_frame
from tests.support.recording_transport import split_frames

MAX = 300
OVERHEAD = 14 + 125
"""Bytes of the largest header, and of a control frame inside a fragmented message."""

masks = st.binary(min_size=4, max_size=4)
payloads = st.binary(max_size=MAX)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(str.encode)
control = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """A valid stream of a client: its bytes, and the events that it contains."""
    stream, meaning = b"", list[Event]()
    for _ in range(draw(st.integers(0, 5))):
        opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
        payload = draw(texts if opcode is Opcode.TEXT else payloads)
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        parts = [payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for index, part in enumerate(parts):
            if draw(st.booleans()):
                kind, body = draw(control)
                stream += client_frame(kind, body, key=draw(masks))
                meaning.append(Event(kind, body))
            kind = opcode if index == 0 else Opcode.CONTINUATION
            stream += client_frame(kind, part, fin=index == len(parts) - 1, key=draw(masks))
        meaning.append(Event(opcode, payload))
    return stream, meaning


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


Outcome = tuple[list[Event], int | None]
"""The events that were read, and the code of the violation that ended the stream."""


def outcome(chunks: list[bytes]) -> Outcome:
    reader, events = FrameReader(MAX), list[Event]()
    try:
        for chunk in chunks:
            for event in reader.feed(chunk):
                if event is not None:
                    events.append(event)  # events before a violation have to be kept
            assert buffered(reader) <= MAX + OVERHEAD
    except ProtocolViolation as violation:
        return events, violation.code
    return events, None


def buffered(reader: FrameReader) -> int:
    """Bytes that a reader buffers between two reads."""
    buffer, message = reader._buffer, reader._message  # pyright: ignore[reportPrivateUsage]
    return len(buffer or b"") + len(message or b"")


@given(st.data())
def test_frames_of_a_stream_do_not_depend_on_its_chunks(data: st.DataObject) -> None:
    stream, meaning = data.draw(messages())
    assert outcome(data.draw(chunked(stream))) == (meaning, None)


nearly_frames = st.lists(
    st.builds(
        client_frame,
        st.integers(0, 15),
        st.binary(max_size=200),
        fin=st.booleans(),
        reserved=st.sampled_from([0, 0, 0, 0, 1, 4]),
        key=masks,
    )
    | st.binary(max_size=20),
    max_size=8,
).map(b"".join)


@given(st.data(), st.binary(max_size=400) | nearly_frames)
def test_random_bytes_raise_only_protocol_violations_in_any_chunks(data: st.DataObject, stream: bytes) -> None:
    whole, cut = outcome([stream]), outcome(data.draw(chunked(stream)))
    assert cut == whole
    assert whole[1] in (None, CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA, CloseCode.TOO_LARGE)


@given(nearly_frames)
def test_accepted_text_is_utf_8(stream: bytes) -> None:
    for event in outcome([stream])[0]:
        if event.opcode is Opcode.TEXT:
            event.payload.decode()


@given(nearly_frames)
def test_accepted_message_is_within_the_size_limit(stream: bytes) -> None:
    assert all(len(event.payload) <= MAX for event in outcome([stream])[0])


@given(st.binary(max_size=400))
def test_reader_buffers_at_most_one_message_and_a_header(stream: bytes) -> None:
    reader = FrameReader(MAX)
    with suppress(ProtocolViolation):
        for octet in stream:
            list(reader.feed(bytes((octet,))))
            assert buffered(reader) <= MAX + OVERHEAD


@given(st.lists(st.tuples(st.sampled_from(list(Opcode)), st.binary(max_size=70_000)), max_size=5))
def test_split_frames_returns_the_frames_that_were_built(frames: list[tuple[Opcode, bytes]]) -> None:
    assert list(split_frames(b"".join(frame(*each) for each in frames))) == frames
