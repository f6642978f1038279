"""The open streams of a channel, as a client hears them. No I/O.

A stream that has ended is read as one message, in its place, as from the history: whoever was away meanwhile reads that
message instead. Its text while it grows is in the events.
"""

from dataclasses import dataclass
from typing import Any

from .catch_up import Frame


@dataclass(frozen=True, slots=True)
class StreamBegan:
    """A stream has begun or, with a `text`, is heard from its middle on: the text is whole, and replaces any before."""

    channel: str
    stream_id: str
    user_id: str | None
    username: str | None
    meta: Any
    text: str


@dataclass(frozen=True, slots=True)
class StreamGrew:
    """`text` was added to a stream."""

    channel: str
    stream_id: str
    text: str


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A stream has ended: `done`, `failed`, `stopped` or `lost`. `text` is all of it."""

    channel: str
    stream_id: str
    status: str
    text: str


StreamEvent = StreamBegan | StreamGrew | StreamEnded


class OpenStreams:
    """Of one channel, on one connection."""

    __slots__ = ("_begun", "_texts", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._begun: dict[str, Frame] = {}
        self._texts: dict[str, list[str]] = {}

    def clear(self) -> None:
        """The connection was lost: the next one tells how they stand."""
        self._begun.clear()
        self._texts.clear()

    def begin(self, frame: Frame) -> StreamEvent:
        """A `stream` frame."""
        stream_id, text = frame["stream_id"], frame.get("text", "")
        self._begun[stream_id], self._texts[stream_id] = frame, [text]
        return StreamBegan(self.name, stream_id, frame["user_id"], frame["username"], frame.get("meta"), text)

    def grow(self, frame: Frame) -> StreamEvent | None:
        """A `delta` frame."""
        texts = self._texts.get(frame["stream_id"])
        if texts is None:
            return None
        texts.append(frame["text"])
        return StreamGrew(self.name, frame["stream_id"], frame["text"])

    def end(self, frame: Frame) -> tuple[StreamEvent, Frame] | None:
        """A `stream_end` frame: the event, and the message that it stands for."""
        stream_id, status = frame["stream_id"], frame["status"]
        begun, texts = self._begun.pop(stream_id, None), self._texts.pop(stream_id, None)
        if begun is None or texts is None:
            return None
        text = "".join(texts)
        message: Frame = {name: begun[name] for name in ("room", "agent_id", "user_id", "username") if name in begun}
        message |= {"type": "message", "session_id": None, "timestamp": begun["timestamp"]}
        message["content"] = {"stream_id": stream_id, "text": text, "status": status, "meta": begun.get("meta")}
        if "offset" in frame:
            message["offset"] = frame["offset"]
        return StreamEnded(self.name, stream_id, status, text), message
