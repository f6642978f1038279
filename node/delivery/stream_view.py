"""One open stream as a node knows it, and what members of its channel are given of it."""

from collections import deque
from dataclasses import dataclass

from ...shared.channels import Channel
from ...shared.protocol.codec import encode_lazily
from ...shared.protocol.frames import NodeFrame
from ...shared.protocol.stream_frames import DeltaFrame, StreamFrame
from ...shared.publication import Publication
from ...shared.streams import StreamHeader, StreamPiece

WAITING_MAX = 256
"""Pieces of one stream that wait for what is missing before them; beyond it they are dropped, and read from Redis."""
WAITING_MAX_BYTES = 262_144
"""Bytes of them."""


class StreamView:
    """The text as far as members have been given it. `header` is None while only pieces are known: then none was."""

    __slots__ = ("_waiting_bytes", "channel", "header", "heard_at", "text", "waiting")

    def __init__(self, channel: Channel, header: StreamHeader | None, text: bytes, heard_at: float) -> None:
        self.channel = channel
        self.header = header
        self.text = bytearray(text)
        self.heard_at = heard_at
        """When something was last heard of it, in monotonic seconds."""
        self.waiting: deque[StreamPiece] = deque()
        self._waiting_bytes = 0

    def __len__(self) -> int:
        return len(self.text)

    @property
    def key(self) -> tuple[bytes, str]:
        """Names the stream among all that a session hears."""
        assert self.header is not None
        return self.channel.address, f"{self.header.stream_id} {self.header.timestamp}"

    def wait(self, piece: StreamPiece) -> None:
        """Keep a piece until Redis has said what is missing before it."""
        self.waiting.append(piece)
        self._waiting_bytes += len(piece.text)
        if len(self.waiting) > WAITING_MAX or self._waiting_bytes > WAITING_MAX_BYTES:
            self.take_waiting()

    def take_waiting(self) -> list[StreamPiece]:
        waiting = list(self.waiting)
        self.waiting.clear()
        self._waiting_bytes = 0
        return waiting

    def frame(self, start: int | None, end: int) -> NodeFrame:
        """The text from `start` to `end` as a `delta`; without a start all of it as a `stream`."""
        assert self.header is not None
        if start is None:
            return StreamFrame.of(self.channel, self.header, bytes(self.text[:end]))
        return DeltaFrame(self.channel, self.header.stream_id, start, end, self.text[start:end].decode())

    def publication(self, start: int | None) -> "StreamText":
        """What members are given that know the text up to `start`, or, without a start, nothing of it."""
        end = len(self.text)
        return StreamText(encode_lazily(self.frame(start, end)), view=self, start=start, end=end)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamText(Publication):
    """Text of a stream for the members of its channel: a `delta`, or, without a start, the whole `stream`."""

    view: StreamView
    start: int | None
    end: int
