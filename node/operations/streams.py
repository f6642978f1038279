"""The operations of streams, for back ends: what they write on any node is one text, whichever node takes it."""

import asyncio
import secrets

from ...fanout.streams.errors import StreamUnknown
from ...fanout.streams.producing import StreamProducing
from ...fanout.streams.reading import StreamReading
from ...fanout.streams.stored import StoredStream
from ...shared.channels import Channel
from ...shared.names import StreamId
from ...shared.protocol.frames import Author, Object
from ...shared.streams import Ended, StreamHeader, StreamStatus, Written


class StreamOperations:
    """All raise Unavailable, and StreamRefused as StreamProducing says."""

    def __init__(self, producing: StreamProducing, reading: StreamReading) -> None:
        self._producing = producing
        self._reading = reading

    async def begin(self, channel: Channel, stream_id: StreamId | None, author: Author, meta: object) -> Object:
        """Begin a stream; without a name under a new one."""
        name = stream_id or StreamId(secrets.token_hex(8))
        header = StreamHeader(name, author.user_id, author.username, meta, self._producing.now())
        await self._producing.open(channel, header)
        return {"stream_id": name}

    async def write(self, channel: Channel, stream_id: StreamId, text: str, start: int | None) -> Object:
        written: Written = await self._producing.write(channel, stream_id, text.encode(), start)
        return {"to": written.to, "listeners": written.listeners, "stop": written.stop}

    async def end(self, channel: Channel, stream_id: StreamId, status: StreamStatus) -> Object:
        ended: Ended = await self._producing.end(channel, stream_id, status)
        position = {} if ended.position is None else ended.position.as_fields()
        return {"to": ended.to, "status": ended.status.value, **position}

    async def stop(self, channel: Channel, stream_id: StreamId) -> Object:
        await self._producing.stop(channel, stream_id)
        return {"stop": True}

    async def get(self, channel: Channel, stream_id: StreamId) -> Object:
        """How a stream stands, with its text; also for a moment after it has ended."""
        stored = await self._reading.read(channel, stream_id)
        if stored is None:
            raise StreamUnknown(stream_id)
        return _fields_of(stored) | {"text": stored.text.decode(errors="replace")}

    async def list_open(self, channel: Channel) -> Object:
        """The open streams of a channel, without their texts."""
        names = sorted(await self._reading.list_open(channel))
        found = await asyncio.gather(*(self._reading.read(channel, name, with_text=False) for name in names))
        return {"streams": [_fields_of(each) for each in found if each is not None and each.status is None]}


def _fields_of(stored: StoredStream) -> Object:
    header = stored.header
    fields: Object = {
        "stream_id": header.stream_id,
        "user_id": header.user_id,
        "username": header.username,
        "timestamp": header.timestamp,
        "to": stored.length,
        "status": "open" if stored.status is None else stored.status.value,
        "listeners": stored.listeners,
        "stop": stored.is_stopped,
    }
    if header.meta is not None:
        fields["meta"] = header.meta
    return fields if stored.position is None else fields | stored.position.as_fields()
