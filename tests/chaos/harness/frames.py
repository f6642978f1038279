"""Frames of RFC 6455 as a server sends them."""

from collections.abc import Iterator


def frames_in(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Whole frames of a server, taken out of the buffer. It sends none in fragments."""
    at = 0
    while len(buffer) - at >= 2:
        length, head = buffer[at + 1], 2
        if length >= 126:
            head = 4 if length == 126 else 10
            length = int.from_bytes(buffer[at + 2 : at + head], "big")
        if len(buffer) - at < head + length or len(buffer) - at < head:
            break
        opcode = buffer[at] & 0x0F
        payload = bytes(buffer[at + head : at + head + length])
        at += head + length
        yield opcode, payload
    del buffer[:at]
