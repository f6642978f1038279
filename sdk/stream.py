"""A stream for programs without an event loop: `with publisher.stream(agent="42") as stream: stream.write("token")`."""

from types import TracebackType
from typing import Self

from ..shared.background_loop import BackgroundLoop
from ..shared.publication import Position
from .async_stream import AsyncStream


class Stream:
    """An AsyncStream, whose methods and errors it has, in the thread of its publisher. Any thread may call it."""

    def __init__(self, background: BackgroundLoop, stream: AsyncStream) -> None:
        self._background = background
        self._stream = stream

    @property
    def stream_id(self) -> str:
        return self._stream.stream_id

    @property
    def stopped(self) -> bool:
        """Somebody has asked to stop, as of the last answer."""
        return self._stream.stopped

    @property
    def listeners(self) -> int:
        """Sessions in the channel, on all nodes, as of the last answer."""
        return self._stream.listeners

    @property
    def position(self) -> Position | None:
        """That of its message in the history, once it has ended; None without history."""
        return self._stream.position

    def __enter__(self) -> Self:
        self._background.call(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._background.call(self._stream.__aexit__(kind, error, trace))

    def write(self, text: str | bytes) -> None:
        """Add to the text. Half a character at the end waits for the rest."""
        self._background.call(self._stream.write(text))

    def refresh(self) -> None:
        """Send what waits, and ask for `stopped` and `listeners`. It keeps a silent stream alive."""
        self._background.call(self._stream.refresh())

    def end(self, status: str = "done") -> None:
        """End the stream: `done`, `failed` or `stopped`. Leaving its block does so, unless it has been done."""
        self._background.call(self._stream.end(status))
