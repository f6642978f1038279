"""A room that is archived, in a real Redis: what waits for the archive, and what a writer takes and confirms."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.archive.calls import READER_SCRIPTS, WRITER_SCRIPTS, BacklogCalls, TakenEntry
from tannoy.fanout.backlog import summarize
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.scripts import SERVER_ENSURE
from tannoy.shared.publication import Position

from tests.support.history_room import HISTORY_SCRIPTS, RULES, HistoryRoom
from tests.support.valkey import Valkey

ARCHIVE_SCRIPTS = (*HISTORY_SCRIPTS, *WRITER_SCRIPTS, *READER_SCRIPTS)
BACKLOG = 1000
ALL = 1_000_000
"""Messages, or bytes, that no test in these files reaches."""
AT_ONCE = 0
"""Milliseconds after which a message is another writer's, in a test about that."""
NEVER = 3_600_000


class ArchivedRoom:
    def __init__(self, room: HistoryRoom) -> None:
        self.room = room
        self.calls = BacklogCalls(room.pipeline, room.keyspace)
        self.key = room.keyspace.archive(room.channel.partition)

    @classmethod
    @asynccontextmanager
    async def open(cls, valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator["ArchivedRoom"]:
        """With a node that archives all rooms."""
        async with HistoryRoom.open(valkey, pipeline) as room:
            archived = cls(room)
            await archived.say("room:*")
            yield archived

    async def say(self, patterns: str, *, backlog: int = BACKLOG, insist: bool = True) -> bytes:
        """A node says which channels are archived; the life of the server afterwards."""
        words = (RULES.recovery_ms, 0, 0, patterns, backlog, int(insist))
        life, *_ = await self.room.pipeline.run_script(SERVER_ENSURE, (self.room.keys.server,), words)
        return bytes(life)

    async def publish_all(self, *contents: object, rules: HistoryRules = RULES) -> Position:
        return await self.room.publish_all(*contents, rules=rules)

    async def take(
        self, writer: str = "w1", messages: int = ALL, max_bytes: int = ALL, after: int = NEVER
    ) -> list[TakenEntry]:
        return await self.calls.take(self.room.channel.partition, writer, messages, max_bytes, after)

    async def confirm(self, entries: list[TakenEntry]) -> None:
        await self.calls.confirm(self.room.channel.partition, [entry.id for entry in entries])

    async def waiting(self) -> int:
        return summarize(await self.calls.waiting()).waiting

    async def lost(self) -> int:
        return summarize(await self.calls.waiting()).lost


def positions(entries: list[TakenEntry]) -> list[bytes]:
    """`EPOCH OFFSET` of each."""
    return [entry.fields[3] for entry in entries]


def microseconds() -> int:
    return time.time_ns() // 1000
