"""The heartbeat: until when a process may trust what it holds, and what it states anew before it goes on."""

import asyncio
from collections.abc import Collection
from typing import cast

import pytest
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

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.records import NODE
from tests.support.scripted_redis import Call, ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
ALL = list(range(PARTITIONS))
BEAT = DEFAULT_TIMES.heartbeat_seconds
HOLDS = DEFAULT_TIMES.valid_seconds
"""Seconds that a heartbeat holds, from before it was sent."""
PART_OF = {KEYSPACE.heartbeats(part): part for part in ALL}
SERVER_OF = {KEYSPACE.server(part): part for part in ALL}
AFTER_LOSS = "one, after a loss"
"""The life of a server that has lost its data."""
A_WHILE = 0.01


_BEATS = (HEARTBEAT, SERVER_ENSURE, NODE_TELL)


class ScriptedWire(RedisConnection):
    """A connection that is being greeted: the answers of a ScriptedPipeline, the errors of a wire."""

    def __init__(self, redis: ScriptedPipeline) -> None:
        super().__init__(lambda pushes: None)
        self._redis = redis
        self._scripts: dict[object, Script] = {script.digest: script for script in _BEATS}

    def send(self, *words: Word) -> asyncio.Future[Reply]:
        if words[0] == "EVALSHA":
            last_key = 3 + int(words[2])
            keys = cast("tuple[bytes, ...]", words[3:last_key])
            asked = self._redis.run_script(self._scripts[words[1]], keys, words[last_key:])
        else:
            asked = self._redis.send(*words)
        return asyncio.ensure_future(self._answer_of(asked))

    async def _answer_of(self, asked: asyncio.Future[Reply]) -> Reply:
        try:
            return await asked
        except Unavailable as error:
            raise ConnectionLost("the connection to Redis ended before it answered") from error


class ClockBehind:
    """A Clock that may be behind the one that timers live by."""

    def __init__(self) -> None:
        self.behind = 0.0

    def monotonic(self) -> float:
        return manual_clock().monotonic() - self.behind

    def now(self) -> float:
        return manual_clock().now() - self.behind


class Heart:
    """One process's membership. `told` is what it has told its owner, each with what was trusted at that moment."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.began = manual_clock().monotonic()
        self.redis = ScriptedPipeline()
        self.redis.reply_with(NODE_TELL, 1)
        self.finds()
        self.told: list[tuple[str, float]] = []
        self.restated: list[tuple[list[int], bool]] = []
        self.restates = True
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
        self.told.append(("expired", self.holds_until))

    async def restate(self, commands: CommandSender, partitions: Collection[int], *, add_missing: bool) -> None:
        self.told.append(("restate", self.holds_until))
        self.restated.append((list(partitions), add_missing))
        if not self.restates:
            raise Unavailable("not now")

    def finds(self, before: str = "alive", server: str = "one", *, only: Collection[int] = ALL) -> None:
        """What heartbeats are answered in these partitions; in the others all is well.

        `server` "": it has lost its data, and gets another life once it is made to wait.
        """

        def answer(call: Call) -> list[object]:
            if PART_OF[call.keys[0]] in only:
                return [before.encode(), 3, server.encode()]
            return [b"alive", 3, b"one"]

        def ensure(call: Call) -> list[object]:
            if SERVER_OF[call.keys[0]] not in only:
                return [b"one", 0]
            return [server.encode(), 0] if server else [AFTER_LOSS.encode(), DEFAULT_TIMES.recovery_ms]

        self.redis.reply_with(HEARTBEAT, answer)
        self.redis.reply_with(SERVER_ENSURE, ensure)

    @property
    def holds_until(self) -> float:
        """In seconds since the test began."""
        return self.membership.valid_until - self.began

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.told]

    async def greet(self) -> None:
        await self.membership.on_connected(DirectCommands(ScriptedWire(self.redis)), ALL)

    async def beat(self) -> None:
        """One heartbeat of `run`, at once."""
        running = asyncio.create_task(self.membership.run(self.redis))
        self.membership.beat_soon()
        await turns(30)
        running.cancel()


# ---- until when


@on_manual_time
async def test_before_the_first_heartbeat_nothing_is_trusted_and_nothing_expires() -> None:
    heart = Heart()
    assert heart.membership.fence_if_expired()
    assert (heart.told, heart.membership.term) == ([], 0)


@on_manual_time
async def test_a_heartbeat_holds_from_before_it_was_sent_not_from_its_answer() -> None:
    heart = Heart()
    heart.redis.hold(HEARTBEAT)
    greeting = asyncio.create_task(heart.greet())
    await asyncio.sleep(0.4)
    heart.redis.answer_held(HEARTBEAT)
    await greeting
    assert heart.holds_until == pytest.approx(HOLDS)


@on_manual_time
async def test_its_end_is_noticed_with_no_traffic_at_all() -> None:
    heart = Heart()
    await heart.greet()
    await asyncio.sleep(HOLDS - A_WHILE)
    assert (heart.words, heart.membership.is_valid) == ([], True)
    await asyncio.sleep(2 * A_WHILE)
    assert (heart.words, heart.membership.is_valid, heart.membership.term) == (["expired"], False, 1)


@on_manual_time
async def test_its_end_is_noticed_by_a_timer_that_rings_a_moment_early() -> None:
    # uvloop counts whole milliseconds from a rounded now: half of its timers ring up to 1.2 ms before their time.
    clock = ClockBehind()
    heart = Heart(clock)
    await heart.greet()
    clock.behind = 0.001
    await asyncio.sleep(HOLDS + 1)
    assert heart.words == ["expired"]


@on_manual_time
async def test_after_a_freeze_the_first_check_tells_before_it_says_no() -> None:
    heart = Heart()
    await heart.greet()
    manual_clock().advance(HOLDS)  # no timer has run
    assert heart.words == []
    assert heart.membership.fence_if_expired()
    assert heart.words == ["expired"]


@on_manual_time
async def test_its_end_is_told_once() -> None:
    heart = Heart()
    await heart.greet()
    await asyncio.sleep(HOLDS + A_WHILE)
    for _ in range(3):
        assert heart.membership.fence_if_expired()
    assert (heart.words, heart.membership.term) == (["expired"], 1)


@on_manual_time
async def test_heartbeats_that_go_on_keep_it_for_ever() -> None:
    heart = Heart()
    await heart.greet()
    running = asyncio.create_task(heart.membership.run(heart.redis))
    await asyncio.sleep(100)
    running.cancel()
    assert (heart.words, heart.membership.is_valid) == ([], True)
    assert heart.membership.statistics().beats == 1 + 100 / BEAT - 1  # the last is due at this very moment


@on_manual_time
async def test_a_late_answer_does_not_save_what_has_run_out_meanwhile() -> None:
    heart = Heart()
    await heart.greet()
    await asyncio.sleep(HOLDS - 1)
    heart.redis.hold(HEARTBEAT)
    greeting = asyncio.create_task(heart.greet())
    await asyncio.sleep(1.5)
    heart.redis.answer_held(HEARTBEAT)
    await greeting
    assert (heart.words, heart.membership.term) == (["expired"], 1)
    assert heart.holds_until == pytest.approx(HOLDS - 1 + HOLDS), "from now on it may be trusted again"


@on_manual_time
async def test_an_answer_that_comes_after_its_own_end_is_worth_nothing() -> None:
    heart = Heart()
    heart.redis.hold(HEARTBEAT)
    greeting = asyncio.create_task(heart.greet())
    await asyncio.sleep(HOLDS + A_WHILE)
    heart.redis.answer_held(HEARTBEAT)
    await greeting
    assert heart.membership.fence_if_expired()
