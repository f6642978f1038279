"""The frame reader over anything that any client might send, cut anywhere."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from tannoy.node.rfc6455 import Event, FrameReader, Opcode, frame, split_frames
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import ProtocolViolation

from tests.support.client_frames import client_frame

MAX = 300
OVERHEAD = 14 + 125
"""The largest header, and a control frame that may come within a message."""

masks = st.binary(min_size=4, max_size=4)
payloads = st.binary(max_size=MAX)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(str.encode)
control = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """A conversation as a client may lead it: its bytes, and what they mean."""
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
"""What was read, and the code of the violation that ended it."""


def outcome(chunks: list[bytes]) -> Outcome:
    reader, events = FrameReader(MAX), list[Event]()
    try:
        for chunk in chunks:
            for event in reader.feed(chunk):
                events.append(event)  # what came before a violation has to stay
            assert held(reader) <= MAX + OVERHEAD
    except ProtocolViolation as violation:
        return events, violation.code
    return events, None


def held(reader: FrameReader) -> int:
    """Bytes that a reader keeps between two reads."""
    buffer, message = reader._buffer, reader._message  # pyright: ignore[reportPrivateUsage]
    return len(buffer or b"") + len(message or b"")


@given(st.data())
def test_a_conversation_means_the_same_however_it_is_cut(data: st.DataObject) -> None:
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
def test_garbage_is_a_protocol_violation_and_nothing_else_however_it_is_cut(data: st.DataObject, stream: bytes) -> None:
    whole, cut = outcome([stream]), outcome(data.draw(chunked(stream)))
    assert cut == whole
    assert whole[1] in (None, CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA, CloseCode.TOO_LARGE)


@given(nearly_frames)
def test_text_that_is_let_in_is_always_utf_8(stream: bytes) -> None:
    for event in outcome([stream])[0]:
        if event.opcode is Opcode.TEXT:
            event.payload.decode()


@given(nearly_frames)
def test_no_message_that_is_let_in_is_larger_than_allowed(stream: bytes) -> None:
    assert all(len(event.payload) <= MAX for event in outcome([stream])[0])


@given(st.binary(max_size=400))
def test_no_more_is_held_than_a_message_and_a_header(stream: bytes) -> None:
    reader = FrameReader(MAX)
    with suppress(ProtocolViolation):
        for octet in stream:
            list(reader.feed(bytes((octet,))))
            assert held(reader) <= MAX + OVERHEAD


@given(st.lists(st.tuples(st.sampled_from(list(Opcode)), st.binary(max_size=70_000)), max_size=5))
def test_whatever_is_framed_can_be_taken_apart(frames: list[tuple[Opcode, bytes]]) -> None:
    assert list(split_frames(b"".join(frame(*each) for each in frames))) == frames
