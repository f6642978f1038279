"""The archive under faults: its writer and its database are killed in turn while messages are published.

Afterwards every message that a node has acknowledged has to stand in the database once. Each message has a number of
its own in its content, so the check needs to know nothing of offsets and epochs.
"""

import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from tannoy.fanout.archive.calls import READER_SCRIPTS, BacklogCalls
from tannoy.fanout.backlog import summarize
from tannoy.fanout.startup import skip_recovery
from tannoy.shared.keyspace import Keyspace

from tests.support.archive_process import ArchiveWriterProcess
from tests.support.cluster import NodeProcess, Transport
from tests.support.node import PATIENT
from tests.support.postgres import Postgres
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually

ROOMS = 20
BATCH = 50
"""Messages of one request."""
AWAY_FOR = 3
"""Requests for which what was killed is away."""
WRITTEN_WITHIN = 300.0
"""Seconds after the last message; a writer that was killed leaves its batch to the next one for ten."""


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    messages: int = 20_000
    kills: int = 20
    """Of the writer and of the database, in turn."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    acknowledged: int
    writer_kills: int
    database_kills: int
    seconds: float
    missing: tuple[int, ...]
    """Numbers of messages that were acknowledged and stand nowhere."""
    doubled: tuple[int, ...]
    """Numbers of messages that stand there more than once."""

    @property
    def exit_code(self) -> int:
        return int(bool(self.missing or self.doubled))

    def as_text(self) -> str:
        verdict = "PASS" if not self.exit_code else "VIOLATED"
        return (
            f"{verdict}: {self.acknowledged:,} messages acknowledged, {self.writer_kills} kills of the writer, "
            f"{self.database_kills} of the database, in {self.seconds:.0f} s; "
            f"{len(self.missing)} missing {self.missing[:10]}, {len(self.doubled)} doubled {self.doubled[:10]}"
        )


async def run_archive(plan: ArchivePlan) -> ArchiveReport:
    started = time.monotonic()
    async with (
        Valkey() as valkey,
        Postgres() as postgres,
        _node_of(valkey) as node,
        open_pipeline(valkey, READER_SCRIPTS) as pipeline,
    ):
        writer = ArchiveWriterProcess({"REDIS_URL": valkey.url, "DATABASE_URL": postgres.url, "DATABASE_TIMEOUT": "2"})
        try:
            await writer.start()
            scene = _Scene(plan, node, writer, postgres, BacklogCalls(pipeline, Keyspace("tannoy")))
            acknowledged = await scene.publish()
            await eventually(scene.all_is_written, within=WRITTEN_WITHIN, what="the archive is written")
        finally:
            writer.close()
        standing = _standing(postgres)
    return ArchiveReport(
        acknowledged=len(acknowledged),
        writer_kills=scene.kills["writer"],
        database_kills=scene.kills["database"],
        seconds=time.monotonic() - started,
        missing=tuple(sorted(acknowledged - standing.keys())),
        doubled=tuple(sorted(number for number, count in standing.items() if count > 1)),
    )


@asynccontextmanager
async def _node_of(valkey: Valkey) -> AsyncGenerator[NodeProcess]:
    settings = {"REDIS_URL": valkey.url, "ARCHIVE": "room:*", "HISTORY_SIZE": "10", "PING_INTERVAL": "3600"}
    await skip_recovery(valkey.address, "tannoy", PATIENCE)
    node = NodeProcess("n1", Transport.FAST, settings, times=PATIENT)
    try:
        await node.start()
        yield node
    finally:
        await node.close()


def _standing(postgres: Postgres) -> Counter[int]:
    """How often the message of each number stands in the database."""
    rows = postgres.run("SELECT message::json->'content'->>'number' FROM tannoy_messages")
    return Counter(map(int, rows.splitlines()))


class _Scene:
    def __init__(
        self,
        plan: ArchivePlan,
        node: NodeProcess,
        writer: ArchiveWriterProcess,
        postgres: Postgres,
        calls: BacklogCalls,
    ) -> None:
        self.kills: Counter[str] = Counter()
        self._plan = plan
        self._node = node
        self._writer = writer
        self._postgres = postgres
        self._calls = calls
        self._random = random.Random(plan.seed)

    async def publish(self) -> set[int]:
        """Publish all messages, and kill meanwhile; the numbers of those that were acknowledged.

        What was killed is away for the next messages, which do not wait for it, and is started again then.
        """
        acknowledged: set[int] = set()
        batches = [range(first, first + BATCH) for first in range(0, self._plan.messages, BATCH)]
        every = max(AWAY_FOR + 1, len(batches) // (self._plan.kills + 1))
        restart: Callable[[], Awaitable[None]] | None = None
        for index, numbers in enumerate(batches, 1):
            acknowledged |= await self._publish_batch(numbers)
            if index % every == 0 and self.kills.total() < self._plan.kills:
                restart = self._kill()
            elif index % every == AWAY_FOR and restart is not None:
                await restart()
                restart = None
        if restart is not None:
            await restart()
        return acknowledged

    async def _publish_batch(self, numbers: range) -> set[int]:
        rooms = [f"room-{self._random.randrange(ROOMS)}" for _ in numbers]
        messages = [{"room": room, "content": {"number": each}} for room, each in zip(rooms, numbers, strict=True)]
        answer = await self._node.http.post("/api/v1/messages", json={"messages": messages})
        assert answer.status_code == httpx.codes.OK, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return {number for number, result in zip(numbers, results, strict=True) if "offset" in result}

    def _kill(self) -> Callable[[], Awaitable[None]]:
        """Kill the one that was not killed last; what starts it again."""
        if self.kills["writer"] <= self.kills["database"]:
            self.kills["writer"] += 1
            self._writer.kill()
            return self._writer.start
        self.kills["database"] += 1
        self._postgres.kill()
        return self._postgres.start

    async def all_is_written(self) -> bool:
        assert not self._writer.has_ended, f"the writer has ended:\n{self._writer.log()[-4000:]}"
        return summarize(await self._calls.waiting()).waiting == 0
