"""The presence of one process, on manual time: what it sends after an outage, and what it keeps meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.presence.calls import PRESENCE_SCRIPTS, PresenceRules
from tannoy.fanout.presence.presence import Presence
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.script_batches import CALLS_AT_ONCE
from tannoy.fanout.scripts import PRESENCE_DUE, PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.logged_events import logged_events
from tests.support.memory_redis import NOWHERE, MemoryRedis
from tests.support.scripted_redis import BATCHED

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))
RULES = PresenceRules(inline_max=50, events_max=1000, grace=5)
NOTHING_DUE = b"*2\r\n*0\r\n*0\r\n"


class PresenceRedis(MemoryRedis):
    """A Redis in which no room is ever due. A leave is answered with 1, and a join with `joined`."""

    joined = NOTHING_DUE

    def reply(self, command: list[bytes]) -> bytes:
        if command[:2] == [b"EVALSHA", PRESENCE_LEAVE.digest.encode()]:
            count = int(command[2]) // BATCHED[PRESENCE_LEAVE][0]
            return b"*%d\r\n" % count + b":1\r\n" * count
        if command[:2] == [b"EVALSHA", PRESENCE_JOIN.digest.encode()]:
            return b"*1\r\n" + self.joined
        if command[:2] == [b"EVALSHA", PRESENCE_DUE.digest.encode()]:
            count = int(command[2]) // BATCHED[PRESENCE_DUE][0]
            return b"*%d\r\n" % count + NOTHING_DUE * count
        return NOTHING_DUE if command[0] == b"EVALSHA" else super().reply(command)


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> PresenceRedis:
    memory = PresenceRedis()
    monkeypatch.setattr("tannoy.fanout.redis.command_writer.connect", memory.connect)
    return memory


@asynccontextmanager
async def running(*, sweeping: bool = True) -> AsyncGenerator[tuple[Presence, Pipeline]]:
    pipeline = Pipeline(NOWHERE, name="test", scripts=PRESENCE_SCRIPTS)
    presence = Presence(pipeline, KEYSPACE, incarnation="i1", rules=RULES)
    tasks = [asyncio.create_task(pipeline.run())]
    if sweeping:
        tasks.append(asyncio.create_task(presence.run()))
    await pipeline.connected.wait()
    try:
        yield presence, pipeline
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns()


def leaves(redis: MemoryRedis) -> list[int]:
    """Numbers of the leaves that were sent to Redis."""
    calls = [call for call in redis.arguments_of("EVALSHA") if call[0] == PRESENCE_LEAVE.digest.encode()]
    _, words, shared = BATCHED[PRESENCE_LEAVE]
    return [int(number) for call in calls for number in call[2 + int(call[1]) + shared :][2::words]]


@on_manual_time
async def test_all_partitions_are_asked_in_two_calls_every_second(redis: MemoryRedis) -> None:
    async with running():
        await asyncio.sleep(10.5)
    asked = [command for command in redis.commands if command[:2] == [b"EVALSHA", PRESENCE_DUE.digest.encode()]]
    assert [int(command[2]) for command in asked] == [2 * CALLS_AT_ONCE] * 2 * 11


@on_manual_time
async def test_an_outage_is_logged_once(redis: MemoryRedis, caplog: pytest.LogCaptureFixture) -> None:
    async with running() as (_, pipeline):
        for _ in range(2):
            redis.mute = True
            await asyncio.sleep(20)
            redis.mute = False
            await pipeline.connected.wait()
            await asyncio.sleep(5)
    texts = [str(logged["event"]) for logged in logged_events(caplog)]
    assert [text for text in texts if "swept" in text] == ["presence can't be swept; trying again"] * 2


@on_manual_time
async def test_pending_leaves_are_bounded_by_the_sessions_in_the_rooms(redis: MemoryRedis) -> None:
    async with running(sweeping=False) as (presence, pipeline):
        redis.refuses_connections = True
        redis.break_connection()
        await turns()
        assert not pipeline.connected.is_set()
        for _ in range(3):
            for number in range(10):
                presence.leave(LOBBY, number)
        assert presence.statistics().leaves_pending == 10
    assert leaves(redis) == []


@on_manual_time
async def test_pending_leaves_are_repeated_once_redis_is_back(redis: MemoryRedis) -> None:
    async with running() as (presence, pipeline):
        redis.refuses_connections = True
        redis.break_connection()
        await turns()
        for number in range(1200):
            presence.leave(LOBBY, number)
        await asyncio.sleep(5)
        redis.refuses_connections = False
        await pipeline.connected.wait()
        await asyncio.sleep(2)
        assert presence.statistics().leaves_pending == 0
    assert leaves(redis) == list(range(1200))
    assert redis.reads.count(-(-500 // CALLS_AT_ONCE)) == 2, "a piece at a time"


@on_manual_time
async def test_a_join_that_was_not_confirmed_is_followed_by_a_leave(redis: MemoryRedis) -> None:
    async with running() as (presence, pipeline):
        redis.mute = True
        with pytest.raises(Unavailable):
            await presence.join(LOBBY, 7, UserId("ada"), "Ada")
        redis.mute = False
        await pipeline.connected.wait()
        await asyncio.sleep(2)
        assert presence.statistics().leaves_pending == 0
    assert leaves(redis)[-1] == 7


@pytest.mark.parametrize("reply", [b":1\r\n", b"*3\r\n:1\r\n:1\r\n*1\r\n$3\r\nada\r\n"])
@on_manual_time
async def test_a_reply_of_another_form_raises_unavailable(redis: PresenceRedis, reply: bytes) -> None:
    redis.joined = reply
    async with running(sweeping=False) as (presence, _):
        with pytest.raises(Unavailable):
            await presence.join(LOBBY, 1, UserId("ada"), "Ada")


@on_manual_time
async def test_a_join_while_redis_is_away_fails_at_once_and_leaves_nothing_pending(redis: MemoryRedis) -> None:
    async with running() as (presence, pipeline):
        redis.refuses_connections = True
        redis.break_connection()
        await turns()
        redis.commands.clear()
        before = manual_clock().monotonic()
        with pytest.raises(Unavailable):
            await presence.join(LOBBY, 7, UserId("ada"), "Ada")
        assert manual_clock().monotonic() == before
        statistics = presence.statistics()
        assert (statistics.joining, statistics.leaves_pending, statistics.joins_rolled_back) == (0, 0, 0)
        redis.refuses_connections = False
        await pipeline.connected.wait()
        await asyncio.sleep(2)
    asked = {call[0] for call in redis.arguments_of("EVALSHA")}
    assert asked.isdisjoint({PRESENCE_JOIN.digest.encode(), PRESENCE_LEAVE.digest.encode()})
