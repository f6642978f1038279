"""A tab: one connection to an agent, which checks every frame of a stream when it comes."""

from typing import Any, cast

from tests.chaos.harness.connection import Connection, ConnectionRegistry, WireFormat
from tests.chaos.harness.violation import Kind
from tests.chaos.streams.record import Record


class Tab(Connection):
    """`position`: the last one in the channel's history that it was told of."""

    def __init__(
        self,
        record: Record,
        registry: ConnectionRegistry,
        port: int,
        agent: str,
        position: tuple[str, int] | None,
        wire: WireFormat,
        *,
        small_buffers: bool = False,
    ) -> None:
        record.tabs += 1
        self.agent = agent
        self.position = position
        self._record = record
        self._number = record.tabs
        self._lengths: dict[str, int] = {}
        self._ended_streams: set[str] = set()
        self._lost: set[str] = set()
        asked = "" if position is None else f"?epoch={position[0]}&offset={position[1]}"
        super().__init__(registry, port=port, path=f"/ws/agents/{agent}{asked}", wire=wire, small_buffers=small_buffers)

    @property
    def open_streams(self) -> set[str]:
        return self._lengths.keys() - self._ended_streams

    def length_of(self, stream_id: str) -> int:
        """Bytes of the text that it has."""
        return self._lengths.get(stream_id, 0)

    def on_welcome(self, at: float, frame: dict[str, Any]) -> None:
        self.position = (frame["epoch"], frame["offset"]) if frame.get("epoch") else None

    def on_frame(self, at: float, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "stream":
                self._on_stream(frame)
            case "delta":
                self._on_delta(frame)
            case "stream_end":
                self._on_end(frame)
            case "message" if isinstance(frame["content"], dict) and "stream_id" in frame["content"]:
                self._on_message(cast("dict[str, Any]", frame["content"]))
            case "resync" if frame["epoch"]:
                self.position = (frame["epoch"], frame["offset"])
            case _:
                return
        self._record.heard += 1
        if self.position is not None and frame["type"] in ("message", "stream_end") and "offset" in frame:
            self.position = (self.position[0], frame["offset"])

    def _on_stream(self, frame: dict[str, Any]) -> None:
        stream_id, text = frame["stream_id"], frame.get("text", "").encode()
        if stream_id in self._lost and not text:
            self._ended_streams.discard(stream_id)  # Redis had lost it, name and all, and its producer begins again
        if stream_id in self._ended_streams:
            self._violate(Kind.DUPLICATE, stream_id, "begins again behind its end")
        if len(text) != frame["to"]:
            self._violate(Kind.WRONG_TEXT, stream_id, f"{len(text)} bytes with to={frame['to']}")
        self._check(stream_id, 0, text)
        self._record.caught_up += bool(text)
        self._lengths[stream_id] = len(text)

    def _on_delta(self, frame: dict[str, Any]) -> None:
        stream_id, text = frame["stream_id"], frame["text"].encode()
        known = self._lengths.get(stream_id)
        if known is None or frame["from"] > known:
            self._violate(Kind.HOLE, stream_id, f"a piece at {frame['from']}, known are {known} bytes")
        elif frame["from"] < known or stream_id in self._ended_streams:
            self._violate(Kind.DUPLICATE, stream_id, f"a piece at {frame['from']}, known are {known} bytes")
        self._check(stream_id, frame["from"], text)
        self._lengths[stream_id] = frame["to"]

    def _on_end(self, frame: dict[str, Any]) -> None:
        stream_id, status = frame["stream_id"], frame["status"]
        known = self._lengths.get(stream_id)
        if stream_id in self._ended_streams:
            self._violate(Kind.DUPLICATE, stream_id, "ends twice")
        elif known is None:
            self._violate(Kind.HOLE, stream_id, "ends, and was not begun")
        elif status != "lost" and known != frame["to"]:
            self._violate(Kind.HOLE, stream_id, f"ends {status} at {frame['to']}, known are {known} bytes")
        self._note_end(stream_id, status, frame["to"])

    def _on_message(self, content: dict[str, Any]) -> None:
        stream_id, text = content["stream_id"], content["text"].encode()
        if stream_id in self._lengths:
            self._violate(Kind.DUPLICATE, stream_id, "its message comes to who was given the stream")
        self._check(stream_id, 0, text)
        self._lengths[stream_id] = len(text)
        self._note_end(stream_id, content["status"], len(text))

    def _note_end(self, stream_id: str, status: str, length: int) -> None:
        self._ended_streams.add(stream_id)
        if status == "lost":
            self._lost.add(stream_id)
        self._record.ends[status] += 1
        written = self._record.lengths.get(stream_id)
        if status != "lost" and written is not None and written != length:
            self._violate(Kind.HOLE, stream_id, f"ends {status} with {length} bytes, written were {written}")

    def _check(self, stream_id: str, start: int, text: bytes) -> None:
        if self._record.references.text(stream_id, start, start + len(text)) != text:
            self._violate(Kind.WRONG_TEXT, stream_id, f"{len(text)} bytes at {start} were never written there")

    def _violate(self, kind: Kind, stream_id: str, evidence: str) -> None:
        self._record.violate(kind, f"tab {self._number} of {self.agent}, stream {stream_id}", evidence)
