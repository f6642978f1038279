"""The membership of the process `me`, over a Redis and a clock that the test controls."""

import asyncio
from collections.abc import Collection
from typing import cast

from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.membership import Membership
from tannoy.fanout.redis.connection import RedisConnection, Reply, Word
from tannoy.fanout.redis.errors import ConnectionLost
from tannoy.fanout.redis.pipeline import CommandSender, DirectCommands
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import HEARTBEAT, NODE_TELL, SERVER_ENSURE
from tannoy.fanout.server_life import ServerLives
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.clock import Clock
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace

from tests.support.clock import manual_clock, turns
from tests.support.records import NODE
from tests.support.scripted_redis import Call, ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
ALL = list(range(PARTITIONS))
HEARTBEAT_SECONDS = DEFAULT_TIMES.heartbeat_seconds
VALID_SECONDS = DEFAULT_TIMES.valid_seconds
"""From before a heartbeat was sent."""
PART_OF = {KEYSPACE.heartbeats(part): part for part in ALL}
SERVER_OF = {KEYSPACE.server(part): part for part in ALL}
AFTER_LOSS = "one, after a loss"
"""The life of a server that has lost its data."""
MOMENT_SECONDS = 0.01

_BEATS = (HEARTBEAT, SERVER_ENSURE, NODE_TELL)


class ScriptedConnection(RedisConnection):
    """A connection that is being set up: the replies of a ScriptedPipeline, the errors of a RedisConnection."""

    def __init__(self, redis: ScriptedPipeline) -> None:
        super().__init__(lambda pushes: None)
        self._redis = redis
        self._scripts: dict[object, Script] = {script.digest: script for script in _BEATS}

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        if words[0] == "EVALSHA":
            last_key = 3 + int(words[2])
            keys = cast("tuple[bytes, ...]", words[3:last_key])
            reply = self._redis.run_script(self._scripts[words[1]], keys, words[last_key:])
        else:
            reply = self._redis.send(*words)
        return asyncio.ensure_future(self._wait_for(reply))

    async def _wait_for(self, reply: asyncio.Future[Reply]) -> Reply:
        try:
            return await reply
        except Unavailable as error:
            raise ConnectionLost("the connection to Redis ended before it answered") from error


class ClockBehind:
    """A Clock that may be behind the one that timers use."""

    def __init__(self) -> None:
        self.behind = 0.0

    def monotonic(self) -> float:
        return manual_clock().monotonic() - self.behind

    def now(self) -> float:
        return manual_clock().now() - self.behind


class ScriptedMembership:
    """Records the calls of its LeaseHolder as `events`, each with `valid_until` at that moment."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.began = manual_clock().monotonic()
        self.redis = ScriptedPipeline()
        self.redis.reply_with(NODE_TELL, 1)
        self.answer_heartbeats()
        self.events: list[tuple[str, float]] = []
        self.restated: list[tuple[list[int], bool]] = []
        self.can_restate = True
        clock = clock or manual_clock()
        self.lives = ServerLives(KEYSPACE, clock=clock)
        self.membership = Membership(
            KEYSPACE,
            self.lives,
            incarnation="me",
            clock=clock,
            describe=lambda: NODE,
        )
        self.membership.attach(self)

    def on_expired(self) -> None:
        self.events.append(("expired", self.valid_until))

    async def restate(self, commands: CommandSender, partitions: Collection[int], *, add_missing: bool) -> None:
        self.events.append(("restate", self.valid_until))
        self.restated.append((list(partitions), add_missing))
        if not self.can_restate:
            raise Unavailable("not now")

    def answer_heartbeats(
        self, before: str = "alive", server: str = "one", *, losses: int = 0, only: Collection[int] = ALL
    ) -> None:
        """Reply to heartbeats in these partitions with `before`, `server` and `losses`; in the others nothing is lost.

        `server` is the life of the server; "": it has lost its data, and gets another life with SERVER_ENSURE.
        """

        def answer(call: Call) -> list[object]:
            if PART_OF[call.keys[0]] in only:
                return [before.encode(), 3, server.encode(), 1, 1, losses]
            return [b"alive", 3, b"one", 1, 1, 0]

        def ensure(call: Call) -> list[object]:
            if SERVER_OF[call.keys[0]] not in only:
                return [b"one", 0, 1, 0]
            return [server.encode(), 0, 1, 0] if server else [AFTER_LOSS.encode(), DEFAULT_TIMES.recovery_ms, 2, 0]

        self.redis.reply_with(HEARTBEAT, answer)
        self.redis.reply_with(SERVER_ENSURE, ensure)

    @property
    def valid_until(self) -> float:
        """In seconds since the test began."""
        return self.membership.valid_until - self.began

    @property
    def event_names(self) -> list[str]:
        return [name for name, _ in self.events]

    async def connect(self) -> None:
        await self.membership.on_connected(DirectCommands(ScriptedConnection(self.redis)), ALL)

    async def beat(self) -> None:
        """One heartbeat of `run`, at once."""
        running = asyncio.create_task(self.membership.run(self.redis))
        self.membership.beat_soon()
        await turns(30)
        running.cancel()
