"""A stream as a program writes it: `async with publisher.stream(agent="42") as stream: await stream.write("token")`."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self, cast

from ..shared.channels import ChannelKind
from ..shared.codes import ErrorCode
from ..shared.publication import Position
from ..shared.stream_text import TextPieces, cut
from ..shared.streams import PRODUCER_STATUSES, StreamHeader, StreamStatus
from .errors import PublishError, PublishRefused, StreamBroken
from .route import Route

GATHER_SECONDS = 0.02
"""For which writes are gathered: so long after a piece the next one is sent."""
PIECE_MAX_BYTES = 8192
"""Bytes of the text that are sent at once: as JSON it fits into MESSAGE_MAX_BYTES, whatever the text is."""
UNSENT_MAX_BYTES = 65_536
"""Bytes of the text that may wait to be sent; a write beyond them waits."""


class AsyncStream:
    """A text that grows, and is heard while it does. It is begun and ended by its block.

    A write is sent at once if the last one is GATHER_SECONDS ago, and else together with those that come until then.
    What is not confirmed is repeated until the time-out of the publisher. Methods raise PublishError: StreamBroken once
    nothing can be added any more.
    """

    def __init__(self, route: Route, kind: ChannelKind, name: str, header: StreamHeader) -> None:
        self.stopped = False
        """Somebody has asked to stop, as of the last answer: a program that goes on is not kept from it."""
        self.listeners = 0
        """Sessions in the channel, on all nodes, as of the last answer."""
        self.position: Position | None = None
        """That of its message in the history, once it has ended; None without history."""
        self._route = route
        self._channel = kind, name
        self._header = header
        self._pieces = TextPieces()
        self._text = bytearray()  # kept, since Redis may lose the end of it in a failover
        self._sent = 0
        self._sent_at = -GATHER_SECONDS
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._failure: PublishError | None = None
        self._status: StreamStatus | None = None

    @property
    def stream_id(self) -> str:
        return self._header.stream_id

    async def __aenter__(self) -> Self:
        await self._route.begin_stream(*self._channel, self._header)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.end(StreamStatus.DONE if error is None else StreamStatus.FAILED)
        except PublishError:
            if error is None:
                raise  # else the error of the program is the one that matters

    # ---- writing

    async def write(self, text: str | bytes) -> None:
        """Add to the text. Half a character at the end waits for the rest."""
        self._check()
        if not isinstance(cast("object", text), str | bytes):
            raise PublishRefused(
                f"a stream is a text: write takes str or bytes, not {type(text).__name__}", ErrorCode.BAD_REQUEST
            )
        self._text += self._pieces.add(text)
        loop = asyncio.get_running_loop()
        wait = self._sent_at + GATHER_SECONDS - loop.time()
        if self._sending is None and wait <= 0:
            await self._flush()
        elif self._sending is None and self._timer is None:
            self._timer = loop.call_later(wait, self._begin_to_send)
        if len(self._text) - self._sent > UNSENT_MAX_BYTES:
            await self._flush()

    async def refresh(self) -> None:
        """Send what waits, and ask for `stopped` and `listeners`. It keeps a silent stream alive."""
        self._check()
        await self._flush()
        await self._send(b"")

    async def end(self, status: str = "done") -> None:
        """End the stream: `done`, `failed` or `stopped`. Leaving its block does so, unless it has been done."""
        if self._status is not None:
            return
        if status not in list(PRODUCER_STATUSES):
            allowed = ", ".join(PRODUCER_STATUSES)
            raise PublishRefused(f"status {status!r:.40} has to be one of: {allowed}", ErrorCode.BAD_REQUEST)
        self._status = StreamStatus(status)
        self._text += self._pieces.finish()
        if self._failure is not None:
            await self._end_refused()
            raise self._failure
        await self._flush()
        await self._send(b"")  # after a failover this shows that nothing is missing
        ended = await self._route.end_stream(*self._channel, self._header.stream_id, self._status)
        self.position = ended.position
        if ended.status is not self._status:
            raise StreamBroken(f"stream {self.stream_id!r} has ended as {ended.status}", ended=ended.status)

    async def _end_refused(self) -> None:
        """End a stream whose last piece was refused, such as one that was too large: what was written stands."""
        if isinstance(self._failure, PublishRefused) and not isinstance(self._failure, StreamBroken):
            with contextlib.suppress(PublishError):  # then it is lost when its time-out has passed
                await self._route.end_stream(*self._channel, self._header.stream_id, StreamStatus.FAILED)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._status is not None:
            raise StreamBroken(f"stream {self.stream_id!r} has ended: {self._status}", ended=self._status)

    # ---- sending

    def _begin_to_send(self) -> asyncio.Task[None]:
        self._timer = None
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all(), name="tannoy-stream")
            self._sending.add_done_callback(self._end_sending)
        return self._sending

    def _end_sending(self, sending: asyncio.Task[None]) -> None:
        self._sending = None
        self._sent_at = asyncio.get_running_loop().time()
        if sending.cancelled():
            return
        error = sending.exception()
        if isinstance(error, PublishError):
            self._failure = error  # the next call raises it
        elif error is None and len(self._text) > self._sent and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._begin_to_send)

    async def _flush(self) -> None:
        """Return when all of the text is confirmed."""
        while len(self._text) > self._sent or self._sending is not None:
            if self._timer is not None:
                self._timer.cancel()
            await asyncio.shield(self._begin_to_send())

    async def _send_all(self) -> None:
        """Send the text that was there when this was called."""
        end = len(self._text)
        while self._sent < end:
            part = bytes(self._text[self._sent : self._sent + PIECE_MAX_BYTES + 4])
            await self._send(part[: cut(part, PIECE_MAX_BYTES)])

    async def _send(self, piece: bytes) -> None:
        try:
            written = await self._route.write_stream(*self._channel, self._header.stream_id, piece, self._sent)
        except StreamBroken as broken:
            if broken.ended is None and broken.to is not None and broken.to < self._sent:
                self._sent = broken.to  # Redis has lost what it had confirmed behind that: send it again
                await self._send_all()
                return
            raise
        self._sent += len(piece)
        self.stopped, self.listeners = written.stop, written.listeners
