"""RFC 6455, the server's side, section by section: bytes in, events out."""

import pytest
from tannoy.node.rfc6455 import Event, FrameReader, Opcode, close_frame, frame
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import ProtocolViolation

from tests.support.client_frames import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, client_frame, header, mask
from tests.support.recording_transport import split_frames

MAX = 200_000


def read(*chunks: bytes, max_bytes: int = MAX) -> list[Event]:
    """All events of a fresh reader."""
    reader = FrameReader(max_bytes)
    return [event for chunk in chunks for event in reader.feed(chunk) if event is not None]


def violation(*chunks: bytes, max_bytes: int = MAX) -> CloseCode:
    with pytest.raises(ProtocolViolation) as caught:
        read(*chunks, max_bytes=max_bytes)
    return CloseCode(caught.value.code)


def one_by_one(data: bytes) -> list[bytes]:
    return [bytes((octet,)) for octet in data]


LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, MAX]


class TestBaseFraming:
    """§5.2 and §5.3"""

    @pytest.mark.parametrize("length", LENGTHS)
    @pytest.mark.parametrize(("opcode", "kind"), [(TEXT, Opcode.TEXT), (BINARY, Opcode.BINARY)])
    def test_a_message_of_any_length_is_unmasked(self, opcode: int, kind: Opcode, length: int) -> None:
        payload = (b"0123456789" * (length // 10 + 1))[:length]
        assert read(client_frame(opcode, payload)) == [Event(kind, payload)]

    @pytest.mark.parametrize("length", LENGTHS[:-2])
    def test_the_same_events_are_read_byte_by_byte_and_at_once(self, length: int) -> None:
        data = client_frame(TEXT, b"a" * length) + client_frame(PING, b"p") + client_frame(BINARY, b"\xff")
        assert read(*one_by_one(data)) == read(data)

    def test_many_frames_in_one_chunk_are_all_read(self) -> None:
        frames = [client_frame(TEXT, b"%d" % number) for number in range(1000)]
        assert [event.payload for event in read(b"".join(frames))] == [b"%d" % number for number in range(1000)]

    def test_frames_cut_at_any_byte_are_read_whole(self) -> None:
        first, second = client_frame(TEXT, b"first"), client_frame(TEXT, b"second")
        data = first + second
        for cut in range(len(data)):
            assert [event.payload for event in read(data[:cut], data[cut:])] == [b"first", b"second"]

    def test_empty_chunks_give_no_events(self) -> None:
        assert read(b"", b"") == []

    @pytest.mark.parametrize("key", [MASK, b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x01\x02\x03"])
    def test_a_payload_is_unmasked_with_any_key(self, key: bytes) -> None:
        assert read(client_frame(BINARY, bytes(range(256)), key=key)) == [Event(Opcode.BINARY, bytes(range(256)))]

    def test_the_masked_hello_of_the_rfc_is_read(self) -> None:
        assert read(bytes.fromhex("818537fa213d7f9f4d5158")) == [Event(Opcode.TEXT, b"Hello")]  # §5.7

    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
    def test_a_frame_that_is_not_masked_fails_the_connection(self, opcode: int) -> None:
        assert violation(header(opcode, 2, masked=False) + b"\x03\xe8") is CloseCode.PROTOCOL_ERROR

    @pytest.mark.parametrize("bits", range(1, 8))
    @pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG])
    def test_a_reserved_bit_fails_the_connection(self, opcode: int, bits: int) -> None:
        assert violation(client_frame(opcode, reserved=bits)) is CloseCode.PROTOCOL_ERROR

    @pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
    def test_a_reserved_opcode_fails_the_connection(self, opcode: int) -> None:
        assert violation(client_frame(opcode)) is CloseCode.PROTOCOL_ERROR

    def test_reserved_bits_fail_the_connection_at_the_first_byte(self) -> None:
        assert violation(b"\xc1") is CloseCode.PROTOCOL_ERROR

    @pytest.mark.parametrize("length", [b"\xfe\x00\x7d", b"\xff" + bytes(6) + b"\xff\xff"], ids=["16 bits", "64 bits"])
    def test_a_length_in_more_bytes_than_it_needs_is_refused(self, length: bytes) -> None:
        assert violation(b"\x81" + length) is CloseCode.PROTOCOL_ERROR

    def test_frames_before_a_violation_are_read(self) -> None:
        events = FrameReader(MAX).feed(client_frame(TEXT, b"fine") + b"\xff\xff")
        assert next(events) == Event(Opcode.TEXT, b"fine")
        with pytest.raises(ProtocolViolation):
            next(events)


class TestFragmentation:
    """§5.4"""

    def test_fragments_are_joined(self) -> None:
        parts = client_frame(TEXT, b"Hel", fin=False) + client_frame(CONTINUATION, b"lo")
        assert read(parts) == [Event(Opcode.TEXT, b"Hello")]

    def test_many_and_empty_fragments_are_joined(self) -> None:
        parts = [client_frame(BINARY, b"", fin=False)]
        parts += [client_frame(CONTINUATION, bytes((number % 2,)) * (number % 3), fin=False) for number in range(300)]
        parts.append(client_frame(CONTINUATION))
        whole = b"".join(bytes((number % 2,)) * (number % 3) for number in range(300))
        assert read(*parts) == [Event(Opcode.BINARY, whole)]

    def test_control_frames_between_fragments_are_read_at_once(self) -> None:
        stream = [
            client_frame(TEXT, b"a", fin=False),
            client_frame(PING, b"1"),
            client_frame(CONTINUATION, b"b", fin=False),
            client_frame(PONG, b"2"),
            client_frame(CONTINUATION, b"c"),
        ]
        whole = [Event(Opcode.PING, b"1"), Event(Opcode.PONG, b"2"), Event(Opcode.TEXT, b"abc")]
        assert read(b"".join(stream)) == whole
        assert read(*one_by_one(b"".join(stream))) == whole

    def test_a_message_after_a_fragmented_one_is_read(self) -> None:
        stream = client_frame(TEXT, b"a", fin=False) + client_frame(CONTINUATION, b"b") + client_frame(BINARY, b"c")
        assert read(stream) == [Event(Opcode.TEXT, b"ab"), Event(Opcode.BINARY, b"c")]

    @pytest.mark.parametrize("fin", [True, False])
    def test_a_continuation_without_a_first_fragment_fails_the_connection(self, fin: bool) -> None:
        assert violation(client_frame(CONTINUATION, b"a", fin=fin)) is CloseCode.PROTOCOL_ERROR

    def test_a_continuation_of_a_finished_message_fails_the_connection(self) -> None:
        assert violation(client_frame(TEXT, b"a") + client_frame(CONTINUATION, b"b")) is CloseCode.PROTOCOL_ERROR

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("fin", [True, False])
    def test_a_new_message_before_the_last_is_finished_fails_the_connection(self, opcode: int, fin: bool) -> None:
        stream = client_frame(TEXT, b"a", fin=False) + client_frame(opcode, b"b", fin=fin)
        assert violation(stream) is CloseCode.PROTOCOL_ERROR


class TestControlFrames:
    """§5.5"""

    @pytest.mark.parametrize("length", [0, 1, 125])
    @pytest.mark.parametrize(("opcode", "kind"), [(PING, Opcode.PING), (PONG, Opcode.PONG)])
    def test_a_control_frame_of_up_to_125_bytes_is_read(self, opcode: int, kind: Opcode, length: int) -> None:
        assert read(client_frame(opcode, b"\xff" * length)) == [Event(kind, b"\xff" * length)]

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    @pytest.mark.parametrize("length", [126, 65_536])
    def test_a_longer_control_frame_fails_the_connection(self, opcode: int, length: int) -> None:
        assert violation(header(opcode, length)[:2]) is CloseCode.PROTOCOL_ERROR

    @pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
    def test_a_fragmented_control_frame_fails_the_connection(self, opcode: int) -> None:
        assert violation(client_frame(opcode, fin=False)) is CloseCode.PROTOCOL_ERROR


class TestClose:
    """§5.5.1 and §7.4"""

    LEGAL = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    ILLEGAL = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)

    def test_an_empty_close_frame_is_a_normal_close(self) -> None:
        assert read(client_frame(CLOSE)) == [Event(Opcode.CLOSE, b"", CloseCode.NORMAL)]

    @pytest.mark.parametrize("code", LEGAL)
    def test_an_allowed_close_code_is_read(self, code: int) -> None:
        assert read(client_frame(CLOSE, code.to_bytes(2, "big"))) == [Event(Opcode.CLOSE, b"", code)]

    @pytest.mark.parametrize("code", ILLEGAL)
    def test_a_reserved_or_unassigned_close_code_fails_the_connection(self, code: int) -> None:
        assert violation(client_frame(CLOSE, code.to_bytes(2, "big"))) is CloseCode.PROTOCOL_ERROR

    def test_a_close_frame_of_one_byte_fails_the_connection(self) -> None:
        assert violation(client_frame(CLOSE, b"\x03")) is CloseCode.PROTOCOL_ERROR

    def test_the_reason_of_a_close_frame_is_read(self) -> None:
        assert read(client_frame(CLOSE, b"\x03\xe8" + "tschüß".encode())) == [
            Event(Opcode.CLOSE, "tschüß".encode(), 1000)
        ]

    def test_a_reason_that_is_not_utf_8_fails_the_connection(self) -> None:
        assert violation(client_frame(CLOSE, b"\x03\xe8\xff")) is CloseCode.INVALID_DATA


class TestUtf8:
    """§8.1"""

    GOOD = ("κόσμε", "\x00", "\u07ff\uffff\U0010ffff", "\ufffe\ufdd0", "a" * 1000 + "é" * 1000)
    BAD = (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x8e", b"a\x80", b"\xfe")

    @pytest.mark.parametrize("text", GOOD, ids=ascii)
    def test_any_valid_utf_8_text_is_read(self, text: str) -> None:
        assert read(client_frame(TEXT, text.encode())) == [Event(Opcode.TEXT, text.encode())]

    @pytest.mark.parametrize("payload", BAD)
    def test_text_that_is_not_utf_8_fails_the_connection(self, payload: bytes) -> None:
        assert violation(client_frame(TEXT, payload)) is CloseCode.INVALID_DATA

    @pytest.mark.parametrize("payload", BAD)
    def test_fragmented_text_that_is_not_utf_8_fails_the_connection(self, payload: bytes) -> None:
        stream = client_frame(TEXT, b"fine", fin=False) + client_frame(CONTINUATION, payload)
        assert violation(stream) is CloseCode.INVALID_DATA

    def test_a_character_split_over_fragments_is_read(self) -> None:
        text = "é🎉".encode()
        parts = [client_frame(TEXT, b"", fin=False)]
        parts += [client_frame(CONTINUATION, octet, fin=False) for octet in one_by_one(text)]
        assert read(*parts, client_frame(CONTINUATION)) == [Event(Opcode.TEXT, text)]

    def test_a_text_that_ends_within_a_character_fails_the_connection(self) -> None:
        stream = client_frame(TEXT, b"\xf0\x9f", fin=False) + client_frame(CONTINUATION, b"\x8e")
        assert violation(stream) is CloseCode.INVALID_DATA

    def test_the_first_bad_byte_of_a_fragment_fails_the_connection_at_once(self) -> None:
        assert violation(client_frame(TEXT, b"a\xff", fin=False)) is CloseCode.INVALID_DATA

    @pytest.mark.parametrize("payload", BAD)
    def test_a_binary_message_of_any_bytes_is_read(self, payload: bytes) -> None:
        assert read(client_frame(BINARY, payload)) == [Event(Opcode.BINARY, payload)]


class TestSize:
    """§10.4, and close code 1009"""

    def test_a_message_as_large_as_allowed_is_read(self) -> None:
        assert len(read(client_frame(BINARY, b"x" * 1000), max_bytes=1000)[0].payload) == 1000

    @pytest.mark.parametrize("length", [1001, 70_000, 2**31, 2**63, 2**64 - 1])
    def test_a_header_that_announces_too_large_a_message_fails_the_connection(self, length: int) -> None:
        assert violation(header(TEXT, length), max_bytes=1000) is CloseCode.TOO_LARGE

    def test_fragments_that_are_together_too_large_fail_the_connection(self) -> None:
        first = client_frame(BINARY, b"x" * 600, fin=False)
        assert violation(first, header(CONTINUATION, 401), max_bytes=1000) is CloseCode.TOO_LARGE

    def test_fragments_of_the_allowed_size_together_are_read(self) -> None:
        stream = client_frame(BINARY, b"x" * 600, fin=False) + client_frame(CONTINUATION, b"x" * 400)
        assert len(read(stream, max_bytes=1000)[0].payload) == 1000

    def test_the_size_of_each_message_is_checked_by_itself(self) -> None:
        assert len(read(client_frame(BINARY, b"x" * 1000) * 3, max_bytes=1000)) == 3

    def test_a_control_frame_between_fragments_does_not_count_to_the_size(self) -> None:
        stream = (
            client_frame(BINARY, b"x" * 1000, fin=False) + client_frame(PING, b"p" * 125) + client_frame(CONTINUATION)
        )
        assert len(read(stream, max_bytes=1000)) == 2


class TestSentFrames:
    """§5.1: a server's frames are not masked."""

    @pytest.mark.parametrize("length", LENGTHS)
    def test_a_frame_is_the_header_of_its_length_and_the_payload(self, length: int) -> None:
        payload = b"x" * length
        assert frame(Opcode.TEXT, payload) == header(TEXT, length, masked=False) + payload

    def test_the_unmasked_hello_of_the_rfc_is_encoded(self) -> None:
        assert frame(Opcode.TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")  # §5.7

    def test_a_close_frame_contains_code_and_reason(self) -> None:
        assert close_frame(4001, "node is draining") == b"\x88\x12\x0f\xa1node is draining"

    @pytest.mark.parametrize("reason", ["x" * 200, "é" * 100, "🎉" * 50, "x" + "🎉" * 50])
    def test_a_long_reason_is_truncated_between_characters(self, reason: str) -> None:
        made = close_frame(1000, reason)
        assert len(made) - 2 <= 125
        assert reason.startswith(made[4:].decode())
        assert len(made) > 120

    def test_split_frames_returns_the_frames_that_were_joined(self) -> None:
        made = [(Opcode.TEXT, b"x" * length) for length in LENGTHS] + [(Opcode.PONG, b"")]
        assert list(split_frames(b"".join(frame(*each) for each in made))) == made


def test_the_mask_function_of_the_tests_follows_the_rfc() -> None:
    assert mask(b"Hello") == bytes.fromhex("7f9f4d5158")
