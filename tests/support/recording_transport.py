"""A transport that records what is written, and calls its listener as one with a slow or vanished peer would."""

from collections.abc import Callable, Iterator
from typing import Any, cast

from tannoy.node.protocols.framing import WEBSOCKET_FRAMES, Chunk
from tannoy.node.rfc6455 import Opcode, frame
from tannoy.node.transports.base import TransportListener
from tannoy.shared.protocol.codec import JSON, MSGPACK


class RecordingTransport:
    """A Transport. `high_water`: like a transport, it calls `paused` in the midst of a write that exceeds it.

    `hands_over`: the close frame is out as soon as it is written; else only when the test calls `hand_over`.
    """

    def __init__(self, *, high_water: int | None = None, hands_over: bool = True) -> None:
        self.listener: TransportListener | None = None
        self.writes: list[bytes] = []
        self.reading = True
        self.is_accepted = False
        self.opening = b""
        """The answer to the handshake."""
        self.closed_with: tuple[int, str] | None = None
        self.aborted = False
        self._high_water = high_water
        self._hands_over = hands_over
        self._buffered = 0
        self._paused = False

    # ---- Transport

    framing = WEBSOCKET_FRAMES

    def accept(self, first: Chunk | None) -> None:
        assert not self.is_accepted, "accepted twice"
        self.is_accepted = True
        self._write(self.opening if first is None else self.opening + cast("bytes", first))

    def listen(self, listener: TransportListener) -> None:
        self.listener = listener

    def writer(self) -> Callable[[Chunk], None]:
        return cast("Callable[[Chunk], None]", self._write)

    def pong(self, payload: bytes) -> Chunk:
        return frame(Opcode.PONG, payload)

    def _write(self, frames: bytes) -> None:
        if not frames:
            return
        assert self.closed_with is None, "written behind the close frame"
        self.writes.append(frames)
        if self._high_water is not None:
            self._buffered += len(frames)
            if self._buffered > self._high_water and not self._paused:
                self._paused = True
                if self.listener is not None:
                    self.listener.on_writing_paused()

    def buffered(self) -> int:
        return self._buffered

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self, code: int, reason: str) -> None:
        assert self.closed_with is None, "closed twice"
        self.closed_with = (code, reason)
        self.reading = True
        if self._hands_over:
            self.hand_over()

    def abort(self) -> None:
        self.aborted = True

    # ---- what a test does and sees

    def hand_over(self) -> None:
        """The kernel has taken the close frame."""
        if self.listener is not None:
            self.listener.on_close_sent()

    def stall(self, *, buffered: int = 0) -> None:
        """The peer reads no more; the kernel's buffer is full, and `buffered` bytes wait in ours."""
        assert self.listener is not None
        self._buffered = buffered
        self.listener.on_writing_paused()

    def drain(self) -> None:
        """The peer has read everything."""
        assert self.listener is not None
        self._buffered = 0
        self._paused = False
        self.listener.on_writing_resumed()

    @property
    def stream(self) -> bytes:
        """All that the peer gets, as one string of bytes."""
        return b"".join(self.writes)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects of all data frames."""
        return [_object(opcode, payload) for opcode, payload in split_frames(self.stream) if opcode <= Opcode.BINARY]

    def take(self) -> list[dict[str, Any]]:
        """The objects since the last `take`."""
        objects = self.objects
        self.writes.clear()
        return objects


def _object(opcode: Opcode, payload: bytes) -> dict[str, Any]:
    wire = MSGPACK if opcode is Opcode.BINARY else JSON
    return cast("dict[str, Any]", wire.decode(payload))


def split_frames(frames: bytes) -> Iterator[tuple[Opcode, bytes]]:
    """Undo `frame`: the opcode and the payload of each unfragmented, unmasked frame."""
    position = 0
    while position < len(frames):
        opcode, length = Opcode(frames[position] & 0x0F), frames[position + 1]
        position += 2
        if length >= 126:
            width = 2 if length == 126 else 8
            length = int.from_bytes(frames[position : position + width], "big")
            position += width
        yield opcode, frames[position : position + length]
        position += length
