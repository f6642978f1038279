"""Asking Sentinels: all at once, the newest answer counts, and none that is frozen, mad or of yesterday misleads."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.redis.address import NamedMaster, RedisAddress, SentinelAddress, parse_address
from tannoy.fanout.redis.errors import ConnectionLost, RedisError
from tannoy.fanout.redis.query import OTHERS_WITHIN
from tannoy.fanout.redis.reconnect import keep_connected
from tannoy.fanout.redis.sentinel import (
    ANSWER_WITHIN,
    LOOK_PERIOD,
    NoMaster,
    keep_informed,
    locate,
    until_moved,
)

from tests.support.clock import manual_clock, on_manual_time, turns

GET, STATE = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"), ("SENTINEL", "MASTER", "m")


class Sentinels:
    """Three of them, each of which answers what the test says: what it names, an exception, or None: nothing."""

    def __init__(self) -> None:
        address = parse_address("redis+sentinel://s1,s2,s3/m")
        assert isinstance(address, SentinelAddress)
        self.address = address
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self._answers: dict[str, list[Any] | Exception | None] = {}
        self._delays: dict[str, float] = {}

    def say(self, sentinel: str, answer: list[Any] | Exception | None, *, after: float = 0) -> None:
        self._answers[sentinel] = answer
        self._delays[sentinel] = after

    def name(self, sentinel: str, host: str, epoch: int, *, after: float = 0) -> None:
        self.say(sentinel, [[host.encode(), b"6379"], {b"config-epoch": b"%d" % epoch}], after=after)

    def all_name(self, host: str, epoch: int) -> None:
        for sentinel in ("s1", "s2", "s3"):
            self.name(sentinel, host, epoch)

    async def ask(self, server: RedisAddress, commands: tuple[tuple[str, ...], ...]) -> list[Any]:
        assert commands == (GET, STATE)
        self.asked.append(server.host)
        answer = self._answers[server.host]
        try:
            await (asyncio.Event().wait() if answer is None else asyncio.sleep(self._delays[server.host]))
        except asyncio.CancelledError:
            self.cancelled.append(server.host)
            raise
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    async def locate(self) -> tuple[str, int]:
        named = await locate(self.address, self.ask)
        assert self.address.newest == named
        return named.server.host, named.epoch


@pytest.fixture
def sentinels() -> Sentinels:
    return Sentinels()


@on_manual_time
async def test_all_are_asked_at_once_and_name_the_master(sentinels: Sentinels) -> None:
    sentinels.all_name("a", 0)
    assert await sentinels.locate() == ("a", 0)
    assert sorted(sentinels.asked) == ["s1", "s2", "s3"]


@on_manual_time
async def test_a_frozen_sentinel_holds_nobody_up(sentinels: Sentinels) -> None:
    sentinels.all_name("a", 0)
    sentinels.say("s1", None)
    started = manual_clock().monotonic()
    assert await sentinels.locate() == ("a", 0)
    assert manual_clock().monotonic() - started == pytest.approx(OTHERS_WITHIN)
    assert sentinels.cancelled == ["s1"]


@on_manual_time
async def test_the_newest_answer_counts_if_it_comes_soon(sentinels: Sentinels) -> None:
    sentinels.name("s1", "yesterday", 3)
    sentinels.name("s2", "today", 4, after=OTHERS_WITHIN / 2)
    sentinels.name("s3", "tomorrow", 5, after=OTHERS_WITHIN * 2)
    assert await sentinels.locate() == ("today", 4)


@on_manual_time
async def test_whoever_can_not_be_asked_does_not_count(sentinels: Sentinels) -> None:
    sentinels.say("s1", ConnectionRefusedError("nobody listens"))
    sentinels.say("s2", ConnectionLost("gone"))
    sentinels.name("s3", "a", 7, after=ANSWER_WITHIN / 2)
    assert await sentinels.locate() == ("a", 7)


@on_manual_time
async def test_a_sentinel_that_tells_no_epoch_is_believed_where_no_other_does(sentinels: Sentinels) -> None:
    sentinels.all_name("new", 1)
    no_epoch = RedisError("NOPERM this user has no permissions to run the 'sentinel|master' command")
    sentinels.say("s1", [[b"old", b"6379"], no_epoch])
    assert await sentinels.locate() == ("new", 1)
    sentinels.say("s2", None)
    sentinels.say("s3", None)
    assert await sentinels.locate() == ("old", 0)


@on_manual_time
async def test_where_none_names_a_master_the_reason_of_each_is_told(sentinels: Sentinels) -> None:
    sentinels.say("s1", [None, RedisError("ERR No such master with that name")])
    sentinels.say("s2", [RedisError("NOAUTH Authentication required."), RedisError("NOAUTH")])
    sentinels.say("s3", None)
    started = manual_clock().monotonic()
    with pytest.raises(NoMaster) as told:
        await sentinels.locate()
    assert manual_clock().monotonic() - started == pytest.approx(ANSWER_WITHIN)
    assert str(told.value) == (
        "no Sentinel names a master 'm' (s1:26379: knows no master of this name;"
        " s2:26379: NOAUTH Authentication required.; s3:26379: does not answer)"
    )
    assert sentinels.address.newest is None


# ---- while connections last


async def _informed_for(sentinels: Sentinels, seconds: float, *, connections: int = 1) -> None:
    tasks = [asyncio.create_task(keep_informed(sentinels.address, sentinels.ask)) for _ in range(connections)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@on_manual_time
async def test_one_sentinel_a_period_is_asked_whether_the_master_has_moved(sentinels: Sentinels) -> None:
    sentinels.all_name("a", 1)
    await sentinels.locate()
    sentinels.asked.clear()
    sentinels.name("s1", "b", 0)
    sentinels.name("s2", "b", 1)
    sentinels.say("s3", OSError("nobody listens"))
    await _informed_for(sentinels, 3.5 * LOOK_PERIOD, connections=3)
    assert sentinels.asked == ["s1", "s2", "s3"]
    assert _host(sentinels) == "a", "neither of these is newer"

    sentinels.name("s1", "b", 2)
    await _informed_for(sentinels, 1.5 * LOOK_PERIOD)
    assert _host(sentinels) == "b"


def _host(sentinels: Sentinels) -> str:
    assert sentinels.address.newest is not None
    return sentinels.address.newest.server.host


@on_manual_time
async def test_a_frozen_sentinel_does_not_keep_the_others_from_being_asked(sentinels: Sentinels) -> None:
    sentinels.all_name("b", 2)
    sentinels.say("s1", None)
    sentinels.address.learn(NamedMaster(sentinels.address.at("a", 6379), epoch=1))
    await _informed_for(sentinels, 2 * LOOK_PERIOD + 2 * ANSWER_WITHIN)
    assert _host(sentinels) == "b"


@on_manual_time
async def test_whoever_waits_for_a_master_stops_as_soon_as_another_one_is_named(sentinels: Sentinels) -> None:
    address = sentinels.address
    address.learn(NamedMaster(address.at("a", 6379), epoch=1))

    async def wait() -> None:
        async with until_moved(address):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await turns()
    address.learn(NamedMaster(address.at("a", 6379), epoch=2))
    await asyncio.sleep(60)
    assert not waiting.done(), "it is the same server"
    address.learn(NamedMaster(address.at("b", 6379), epoch=3))
    with pytest.raises(TimeoutError):
        await waiting


@on_manual_time
async def test_a_move_that_comes_with_the_end_of_the_wait_harms_nobody(sentinels: Sentinels) -> None:
    address = sentinels.address
    async with until_moved(address):
        address.learn(NamedMaster(address.at("b", 6379), epoch=3))
    await turns()


@on_manual_time
async def test_a_master_that_is_newly_named_is_tried_at_once(sentinels: Sentinels) -> None:
    address = sentinels.address
    address.learn(NamedMaster(address.at("a", 6379), epoch=1))
    tried: list[str] = []

    async def connection() -> bool:
        tried.append(_host(sentinels))
        raise ConnectionRefusedError("nobody listens")

    keeping = asyncio.create_task(keep_connected(connection, address=address, what="", base=1e6, cap=1e6))
    await turns()
    address.learn(NamedMaster(address.at("b", 6379), epoch=2))
    await turns()
    assert tried == ["a", "b"]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
