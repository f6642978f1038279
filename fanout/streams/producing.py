"""What producers do with their streams: begin, write, end; and what asks them to stop.

One script appends a piece and publishes it, so the order of the pieces on the bus is that of the text. A piece that
says where it begins is written once, however often it is sent.
"""

from dataclasses import dataclass
from typing import Any

from ...shared.channels import Channel
from ...shared.clock import Clock, rfc3339
from ...shared.codes import ErrorCode
from ...shared.errors import MalformedBytes, Refused, Unavailable
from ...shared.keyspace import Keyspace
from ...shared.names import StreamId
from ...shared.protocol.codec import encode_frame
from ...shared.protocol.frames import Author, MessageFrame
from ...shared.publication import EncodedMessage
from ...shared.streams import Ended, StreamEnd, StreamHeader, StreamStatus, Written
from ..heads import read_position
from ..history.publisher import ToldChannels
from ..history.reader import HistoryRules
from ..pubsub.envelopes import PLAIN, Envelopes
from ..pubsub.stream_events import BEGUN, PIECE, pack_header
from ..redis.pipeline import AnyPipeline
from ..scripts import STREAM_END, STREAM_OPEN, STREAM_READ, STREAM_STOP, STREAM_WRITE
from .errors import StreamConflict, StreamRefused, StreamUnknown
from .stored import StoredStream, check_reply, read_end, read_stored

REMEMBER_SECONDS = 60
"""For which a stream that has ended is remembered, with its text: nodes and producers may have missed its end."""
END_TRIES = 5
"""How often an end is tried: each time a piece has come meanwhile."""

PRODUCING_SCRIPTS = (STREAM_OPEN, STREAM_WRITE, STREAM_END, STREAM_READ, STREAM_STOP)
"""Of the pipelines of a StreamProducing."""


@dataclass(frozen=True, slots=True)
class StreamRules:
    """What the settings say about streams."""

    max_bytes: int = 1_048_576
    """Of the text of one stream."""
    timeout: float = 60.0
    """Seconds without a piece until a stream is lost."""
    open_max: int = 32
    """Streams that may be open in one channel."""

    @property
    def timeout_ms(self) -> int:
        return round(self.timeout * 1000)


DEFAULT_STREAM_RULES = StreamRules()


class StreamProducing:
    """Every method raises Unavailable where Redis does not confirm in time, and StreamRefused as it says."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        history: HistoryRules,
        rules: StreamRules,
        clock: Clock,
        envelopes: Envelopes = PLAIN,
        told: ToldChannels | None = None,
    ) -> None:
        """`told`: of which messages the HTTP hooks are told; None: of none."""
        self.rules = rules
        self._told = told
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._history = history
        self._clock = clock
        self._envelopes = envelopes

    def now(self) -> str:
        """The present time, for a header."""
        return rfc3339(self._clock.now())

    async def open(self, channel: Channel, header: StreamHeader) -> None:
        """Begin a stream; with the same header, once. Raises StreamConflict: its name is taken; `limit_reached`."""
        packed, stream_id = pack_header(header), header.stream_id.encode()
        sealed = self._envelopes.seal_stream(channel.address, BEGUN, stream_id, packed) + packed
        words = (channel.address, stream_id, sealed, self.rules.open_max, self.rules.timeout_ms)
        keys = self._keyspace.stream(channel, header.stream_id)
        reply = await self._pipeline.run_script(STREAM_OPEN, keys, (*words, self._history.recovery_ms))
        if reply == 0:
            raise StreamConflict(f"a stream {header.stream_id!r} exists here, or did within {REMEMBER_SECONDS} s")
        if reply == -1:
            message = f"at most {self.rules.open_max} streams may be open in {channel.kind} {channel.name}"
            raise Refused(message, code=ErrorCode.LIMIT_REACHED)

    async def write(self, channel: Channel, stream_id: StreamId, text: bytes, start: int | None = None) -> Written:
        """Append a piece at `start`, or else at the end. What stands there already adds nothing.

        Raises StreamUnknown, StreamConflict, and `too_large`.
        """
        name = stream_id.encode()
        seal = self._envelopes.seal_stream(channel.address, PIECE, name, text)
        words = (channel.address, name, seal, text, "" if start is None else start, self.rules.max_bytes)
        keys = self._keyspace.stream(channel, stream_id)
        why, *rest = check_reply(await self._pipeline.run_script(STREAM_WRITE, keys, words))
        if why == 1:
            to, stop, listeners = map(int, rest)
            return Written(to, listeners, stop == 1)
        if why == b"lost":
            await self.end(channel, stream_id, StreamStatus.LOST)
            message = f"stream {stream_id!r} is lost: Redis may not have all of its text any more"
            raise StreamConflict(message, to=int(rest[0]), status=StreamStatus.LOST)
        raise self._refusal_of(stream_id, why, rest, start, len(text))

    def _refusal_of(self, stream_id: StreamId, why: Any, rest: list[Any], start: int | None, size: int) -> Refused:
        """What a producer is told of a piece of this size that was not written."""
        to = int(rest[0]) if rest else None
        match why:
            case b"unknown":
                return StreamUnknown(stream_id)
            case b"ended":
                status = StreamStatus(rest[1].decode())
                return StreamConflict(f"stream {stream_id!r} has ended: {status}", to=to, status=status)
            case b"gap":
                return StreamConflict(f"a piece at {start} leaves a gap: stream {stream_id!r} has {to} bytes", to=to)
            case b"other" if start is not None and to is not None and start + size > to:
                message = f"a piece at {start} reaches beyond {to}, where stream {stream_id!r} ends: go on from there"
                return StreamConflict(message, to=to)
            case b"other":
                message = f"another text stands at {start}: has stream {stream_id!r} two producers?"
                return StreamConflict(message, to=to)
            case b"large":
                message = f"the text of a stream may have at most {self.rules.max_bytes} bytes"
                return Refused(message, code=ErrorCode.TOO_LARGE)
            case _:
                return Unavailable(f"the bus has answered in an unknown form: {why!r:.80}")

    async def end(self, channel: Channel, stream_id: StreamId, status: StreamStatus) -> Ended:
        """End a stream: its text becomes one message. For a stream that has ended, how that was.

        As `lost` it ends only if its producer is not heard, or Redis may lack pieces of its text. Raises StreamUnknown.
        """
        for _ in range(END_TRIES):
            stored = await self.read(channel, stream_id)
            if stored is None:
                raise StreamUnknown(stream_id)
            if stored.status is not None:
                return Ended(stored.length, stored.status, stored.position)
            is_lost = stored.has_lost_text or stored.is_doubtful
            ended = await self._try_to_end(channel, stored, StreamStatus.LOST if is_lost else status)
            if ended is not None:
                return ended
        raise StreamRefused(f"stream {stream_id!r} was written to while it was to end: has it two producers?")

    async def _try_to_end(self, channel: Channel, stored: StoredStream, status: StreamStatus) -> Ended | None:
        """None: it could not be ended, since it has changed meanwhile."""
        header, text, rules = stored.header, stored.text.decode(errors="replace"), self._history
        end = StreamEnd(header.stream_id, len(text.encode()), status)
        message = self._encode_message(channel, header, text, status)
        envelope = self._envelopes.pack_end(channel.address, end, message, kept=rules.size > 0)
        keys, history = self._keyspace.stream(channel, header.stream_id), self._keyspace.history(channel)
        told_most = 0 if self._told is None else self._told.find_bound(channel)
        reply = await self._pipeline.run_script(
            STREAM_END,
            (*history, keys.end, keys.state, keys.text, keys.open, keys.due),
            (
                *(rules.size, rules.ttl, rules.head_ttl, rules.recovery_ms, channel.address, envelope),
                *(REMEMBER_SECONDS, stored.length, status),
                *((told_most,) if told_most else ()),
            ),
        )
        if isinstance(reply, bytes):
            return Ended(end.length, status, read_position(reply) if reply else None)
        match check_reply(reply):
            case [b"ended", to, its, position]:
                return Ended(int(to), StreamStatus(its.decode()), read_end(position))
            case [b"moved", *_]:
                return None
            case [b"alive", *_]:
                raise StreamRefused(f"stream {header.stream_id!r} is not lost: its producer is heard")
            case _:
                raise StreamUnknown(header.stream_id)

    def _encode_message(
        self, channel: Channel, header: StreamHeader, text: str, status: StreamStatus
    ) -> EncodedMessage:
        content: dict[str, object] = {"stream_id": header.stream_id, "text": text, "status": status.value}
        content["meta"] = header.meta
        author = Author(header.user_id, header.username, None)
        return encode_frame(MessageFrame(channel, author, content, header.timestamp))

    async def stop(self, channel: Channel, stream_id: StreamId) -> None:
        """Ask the producer to stop. Raises StreamUnknown, and StreamConflict if the stream has ended."""
        reply = await self._pipeline.run_script(STREAM_STOP, (self._keyspace.stream(channel, stream_id).state,), ())
        if reply == -1:
            raise StreamUnknown(stream_id)
        if reply == 0:
            raise StreamConflict(f"stream {stream_id!r} has ended")

    async def read(self, channel: Channel, stream_id: StreamId, *, with_text: bool = True) -> StoredStream | None:
        """How a stream stands; None: there is none of this name."""
        address, keys = channel.address, self._keyspace.stream(channel, stream_id)

        def open_header(sealed: bytes) -> bytes:
            return self._envelopes.open_stream(address, BEGUN, stream_id.encode(), sealed)

        reply = await self._pipeline.run_script(STREAM_READ, keys, (int(with_text),))
        try:
            return read_stored(stream_id, reply, open_header)
        except (MalformedBytes, ValueError) as error:
            raise Unavailable(f"a stream that can't be read: {error}") from error
