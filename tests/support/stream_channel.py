"""A channel whose streams a test writes to in a real Redis, and what subscribers receive of them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Self

from tannoy.fanout.history.publisher import ToldChannels
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.pubsub.envelopes import PLAIN, Envelopes
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.streams.producing import PRODUCING_SCRIPTS, StreamProducing, StreamRules
from tannoy.fanout.streams.reading import READING_SCRIPTS, StreamReading
from tannoy.fanout.unreadable import UnreadableData
from tannoy.shared.clock import SystemClock
from tannoy.shared.names import StreamId, UserId
from tannoy.shared.streams import StreamEvent, StreamHeader, StreamPublication

from tests.support.history_room import RULES, HistoryRoom
from tests.support.valkey import Valkey

STREAM_SCRIPTS = (*PRODUCING_SCRIPTS, *READING_SCRIPTS)
ANSWER = StreamId("answer")


def header_of(stream_id: StreamId = ANSWER, *, meta: object = None, user_id: str | None = "bot") -> StreamHeader:
    return StreamHeader(stream_id, None if user_id is None else UserId(user_id), user_id, meta, "2026-01-01T00:00:00Z")


class StreamChannel:
    """One room under a prefix of its own."""

    def __init__(self, room: HistoryRoom) -> None:
        self.room = room
        self.channel = room.channel
        self.valkey = room.valkey
        self.producing = self.producing_with()
        self.reading = StreamReading(room.pipeline, room.keyspace, UnreadableData(), incarnation="n1")

    @classmethod
    @asynccontextmanager
    async def open(cls, valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[Self]:
        async with HistoryRoom.open(valkey, pipeline) as room:
            await room.identify_server()
            yield cls(room)

    def producing_with(
        self,
        *,
        history: HistoryRules = RULES,
        envelopes: Envelopes = PLAIN,
        max_bytes: int = 1000,
        timeout: float = 60.0,
        open_max: int = 3,
        told: ToldChannels | None = None,
    ) -> StreamProducing:
        rules = StreamRules(max_bytes, timeout, open_max)
        room = self.room
        return StreamProducing(room.pipeline, room.keyspace, history, rules, SystemClock(), envelopes, told)

    def reading_of(self, incarnation: str) -> StreamReading:
        return StreamReading(self.room.pipeline, self.room.keyspace, UnreadableData(), incarnation=incarnation)

    async def write(self, text: str, start: int | None = None, *, stream_id: StreamId = ANSWER) -> int:
        """Write a piece; returns where the text ends."""
        written = await self.producing.write(self.channel, stream_id, text.encode(), start)
        return written.to

    async def publications(self, envelopes: Envelopes = PLAIN) -> list[StreamPublication]:
        """All events of streams that were published up to now."""
        unpacked = [envelopes.unpack(self.channel.address, each) for each in await self.room.received_payloads()]
        return [each for each in unpacked if isinstance(each, StreamPublication)]

    async def events(self, envelopes: Envelopes = PLAIN) -> list[StreamEvent]:
        return [each.event for each in await self.publications(envelopes)]

    @property
    def keys(self) -> "tuple[bytes, ...]":
        return self.room.keyspace.stream(self.channel, ANSWER)
