"""RFC 6455 without I/O: bytes → messages and control frames, and back; the key of the opening handshake.

The server's side only: received frames are masked, sent ones are not, so one frame can be sent to every socket. No
extension is supported, so the three reserved bits have to be zero.
"""

import base64
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha1

from websockets.speedups import apply_mask

from ..shared.codes import CloseCode
from ..shared.errors import ProtocolViolation

CONTROL_MAX_BYTES = 125
"""The size of the payload of a control frame."""


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3
_FIN, _MASKED = 0x80, 0x80
_match_key = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch  # 16 bytes in Base64
# §7.4: the codes below 3000 that a close frame may contain. 1004-1006 and 1015 are reserved, others not registered.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


@dataclass(frozen=True, slots=True)
class Event:
    """A whole message (TEXT, BINARY: fragments joined, UTF-8 checked) or a control frame. `code` is that of CLOSE."""

    opcode: Opcode
    payload: bytes
    code: int = 0


class FrameReader:
    """Parses the frames of one client. Buffers at most one message of `max_bytes` and one frame header."""

    __slots__ = ("_buffer", "_decoder", "_max_bytes", "_message", "_needed", "_opcode")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer: bytearray | None = None  # an unfinished frame
        self._needed = 0  # size of the unfinished frame in bytes, as far as known
        self._message: bytearray | None = None  # payload of an unfinished fragmented message
        self._opcode = Opcode.TEXT
        self._decoder: codecs.IncrementalDecoder | None = None  # fails at the first bad byte of a fragmented text

    def feed(self, data: bytes) -> Iterator[Event | None]:
        """Yield for each frame that `data` completes its event; None: it is a fragment that completes no message.

        No frame is looked at before the one in front of it has been taken. Raises ProtocolViolation; then the
        connection has to be closed.
        """
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data, self._buffer = bytes(self._buffer), None
        position, end, needed = 0, len(data), 0
        while position < end:
            head = self._parse_header(data, position, end)
            if head is None:
                break
            opcode, fin, start, length = head
            if start + length > end:
                needed = start + length - position
                break
            payload = apply_mask(data[start : start + length], data[start - 4 : start])
            position = start + length
            yield self._handle_frame(opcode, fin, payload)
        if position < end:
            self._buffer, self._needed = bytearray(data[position:]), needed

    def _parse_header(self, data: bytes, at: int, end: int) -> tuple[int, bool, int, int] | None:
        """Opcode, FIN, start and length of the payload; None if the header is incomplete.

        A violation is raised as soon as the bytes show it.
        """
        first = data[at]
        opcode = first & 0x0F
        if first & 0x70:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "reserved bits are set")
        if opcode > 2 and not 8 <= opcode <= 10:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, f"opcode {opcode} is reserved")
        if end - at < 2:
            return None
        second = data[at + 1]
        if not second & _MASKED:
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a client's frame has to be masked")
        fin, length, start = bool(first & _FIN), second & 0x7F, at + 2
        if opcode >= 8:
            if length > CONTROL_MAX_BYTES or not fin:
                raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a control frame is too long or fragmented")
        elif length >= 126:
            width = 2 if length == 126 else 8
            start += width
            if end < start:
                return None
            length = int.from_bytes(data[at + 2 : start], "big")
            if length < (126 if width == 2 else 65_536):
                raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a length has to be as short as it can be")
        if opcode < 8:
            self._check_data_frame(opcode, length)
        return None if end < start + 4 else (opcode, fin, start + 4, length)

    def _check_data_frame(self, opcode: int, length: int) -> None:
        if (opcode == Opcode.CONTINUATION) is (self._message is None):
            what = "there is no message to continue" if self._message is None else "the last message is not finished"
            raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, what)
        # Checked when the header is parsed, so that no byte of too large a message is buffered.
        if length + len(self._message or b"") > self._max_bytes:
            raise ProtocolViolation(CloseCode.TOO_LARGE, f"a message may have at most {self._max_bytes} bytes")

    def _handle_frame(self, opcode: int, fin: bool, payload: bytes) -> Event | None:
        if opcode >= 8:
            return _parse_close(payload) if opcode == Opcode.CLOSE else Event(Opcode(opcode), payload)
        if fin and self._message is None:
            if opcode == Opcode.TEXT:
                _check_utf8(payload)
            return Event(Opcode(opcode), payload)
        return self._handle_fragment(opcode, fin, payload)

    def _handle_fragment(self, opcode: int, fin: bool, payload: bytes) -> Event | None:
        if self._message is None:
            self._message = bytearray()
            self._opcode = Opcode(opcode)
            self._decoder = codecs.getincrementaldecoder("utf-8")() if opcode == Opcode.TEXT else None
        self._message += payload
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, fin)
            except UnicodeDecodeError as error:
                raise ProtocolViolation(CloseCode.INVALID_DATA, "text is not UTF-8") from error
        if not fin:
            return None
        whole, self._message, self._decoder = bytes(self._message), None, None
        return Event(self._opcode, whole)


def _check_utf8(payload: bytes) -> None:
    if payload.isascii():
        return
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise ProtocolViolation(CloseCode.INVALID_DATA, "text is not UTF-8") from error


def _parse_close(payload: bytes) -> Event:
    if not payload:
        return Event(Opcode.CLOSE, b"", CloseCode.NORMAL)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or (code not in _CLOSE_CODES and not 3000 <= code <= 4999):
        raise ProtocolViolation(CloseCode.PROTOCOL_ERROR, "a close frame with an invalid code")
    _check_utf8(payload[2:])
    return Event(Opcode.CLOSE, payload[2:], code)


# ---- the opening handshake


def is_key(key: str) -> bool:
    """Whether this is a value for Sec-WebSocket-Key."""
    return _match_key(key) is not None


def accept_token(key: str) -> bytes:
    """The value of Sec-WebSocket-Accept for this key."""
    return base64.b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest())


# ---- frames to send


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """Encode one unmasked, unfragmented frame."""
    length = len(payload)
    if length < 126:
        return bytes((_FIN | opcode, length)) + payload
    if length < 65_536:
        return bytes((_FIN | opcode, 126, length >> 8, length & 0xFF)) + payload
    return bytes((_FIN | opcode, 127)) + length.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str) -> bytes:
    """Encode a close frame. The reason is truncated to the size of a control frame."""
    text = reason.encode()[: CONTROL_MAX_BYTES - 2].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + text)
