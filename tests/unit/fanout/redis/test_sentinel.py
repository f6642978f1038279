"""Sentinels: all are asked at once, the newest answer counts, and none that is frozen or outdated misleads."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.redis.address import RedisAddress, SentinelAddress, parse_address
from tannoy.fanout.redis.errors import ConnectionLost, RedisError
from tannoy.fanout.redis.query import OTHERS_WITHIN
from tannoy.fanout.redis.reconnect import keep_connected
from tannoy.fanout.redis.sentinel import ANSWER_WITHIN, QUERY_PERIOD, MasterDiscovery, NamedMaster, NoMaster

from tests.support.clock import manual_clock, on_manual_time, turns

GET, STATE = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"), ("SENTINEL", "MASTER", "m")


class Sentinels:
    """Three Sentinels. Each answers what the test has set: a list of replies, an exception, or None for no answer."""

    def __init__(self) -> None:
        address = parse_address("redis+sentinel://s1,s2,s3/m")
        assert isinstance(address, SentinelAddress)
        self.address = address
        self.discovery = MasterDiscovery(address)
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

    async def ask(self, server: RedisAddress, commands: tuple[tuple[str, ...], ...], within: float) -> list[Any]:
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
        named = await self.discovery.locate(self.ask)
        assert self.discovery.newest == named
        return named.server.host, named.epoch


@pytest.fixture
def sentinels() -> Sentinels:
    return Sentinels()


@on_manual_time
async def test_all_sentinels_are_asked_at_once(sentinels: Sentinels) -> None:
    sentinels.all_name("a", 0)
    assert await sentinels.locate() == ("a", 0)
    assert sorted(sentinels.asked) == ["s1", "s2", "s3"]


@on_manual_time
async def test_a_frozen_sentinel_delays_the_answer_only_briefly(sentinels: Sentinels) -> None:
    sentinels.all_name("a", 0)
    sentinels.say("s1", None)
    started = manual_clock().monotonic()
    assert await sentinels.locate() == ("a", 0)
    assert manual_clock().monotonic() - started == pytest.approx(OTHERS_WITHIN)
    assert sentinels.cancelled == ["s1"]


@on_manual_time
async def test_the_answer_with_the_highest_epoch_counts_if_it_comes_soon(sentinels: Sentinels) -> None:
    sentinels.name("s1", "yesterday", 3)
    sentinels.name("s2", "today", 4, after=OTHERS_WITHIN / 2)
    sentinels.name("s3", "tomorrow", 5, after=OTHERS_WITHIN * 2)
    assert await sentinels.locate() == ("today", 4)


@on_manual_time
async def test_sentinels_that_can_not_be_reached_are_left_out(sentinels: Sentinels) -> None:
    sentinels.say("s1", ConnectionRefusedError("not listening"))
    sentinels.say("s2", ConnectionLost("gone"))
    sentinels.name("s3", "a", 7, after=ANSWER_WITHIN / 2)
    assert await sentinels.locate() == ("a", 7)


@on_manual_time
async def test_an_answer_without_an_epoch_counts_only_if_no_other_has_one(sentinels: Sentinels) -> None:
    sentinels.all_name("new", 1)
    no_epoch = RedisError("NOPERM this user has no permissions to run the 'sentinel|master' command")
    sentinels.say("s1", [[b"old", b"6379"], no_epoch])
    assert await sentinels.locate() == ("new", 1)
    sentinels.say("s2", None)
    sentinels.say("s3", None)
    assert await sentinels.locate() == ("old", 0)


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        (b"a..b", b"6379", "'a..b' is no host name"),
        (b"x" * 64, b"6379", "is no host name"),
        (b"a", b"0", "a:0 has a port that is no number from 1 to 65535"),
        (b"a", b"six", "invalid literal"),
        (b"\xff", b"6379", "can't decode"),
    ],
)
@on_manual_time
async def test_a_sentinel_that_names_what_can_not_be_a_server_is_left_out(
    sentinels: Sentinels, host: bytes, port: bytes, reason: str
) -> None:
    sentinels.all_name("a", 1)
    sentinels.say("s1", [[host, port], {b"config-epoch": b"2"}])
    assert await sentinels.locate() == ("a", 1)

    for other in ("s2", "s3"):
        sentinels.say(other, None)
    with pytest.raises(NoMaster, match="names an invalid server: ") as caught:
        await sentinels.discovery.locate(sentinels.ask)
    assert reason in str(caught.value)


@on_manual_time
async def test_without_a_named_master_the_error_has_the_reason_of_each_sentinel(sentinels: Sentinels) -> None:
    sentinels.say("s1", [None, RedisError("ERR No such master with that name")])
    sentinels.say("s2", [RedisError("NOAUTH Authentication required."), RedisError("NOAUTH")])
    sentinels.say("s3", None)
    started = manual_clock().monotonic()
    with pytest.raises(NoMaster) as raised:
        await sentinels.locate()
    assert manual_clock().monotonic() - started == pytest.approx(ANSWER_WITHIN)
    assert str(raised.value) == (
        "no Sentinel names a master 'm' (s1:26379: knows no master of this name;"
        " s2:26379: NOAUTH Authentication required.; s3:26379: does not answer)"
    )
    assert sentinels.discovery.newest is None


# ---- while connections last


async def _informed_for(sentinels: Sentinels, seconds: float, *, connections: int = 1) -> None:
    tasks = [asyncio.create_task(sentinels.discovery.keep_current(sentinels.ask)) for _ in range(connections)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@on_manual_time
async def test_connections_together_ask_one_sentinel_per_period(sentinels: Sentinels) -> None:
    sentinels.all_name("a", 1)
    await sentinels.locate()
    sentinels.asked.clear()
    sentinels.name("s1", "b", 0)
    sentinels.name("s2", "b", 1)
    sentinels.say("s3", OSError("not listening"))
    await _informed_for(sentinels, 3.5 * QUERY_PERIOD, connections=3)
    assert sentinels.asked == ["s1", "s2", "s3"]
    assert _host(sentinels) == "a", "neither of these is newer"

    sentinels.name("s1", "b", 2)
    await _informed_for(sentinels, 1.5 * QUERY_PERIOD)
    assert _host(sentinels) == "b"


def _host(sentinels: Sentinels) -> str:
    assert sentinels.discovery.newest is not None
    return sentinels.discovery.newest.server.host


@on_manual_time
async def test_a_frozen_sentinel_does_not_keep_the_others_from_being_asked(sentinels: Sentinels) -> None:
    sentinels.all_name("b", 2)
    sentinels.say("s1", None)
    sentinels.discovery.learn(NamedMaster(sentinels.address.at("a", 6379), epoch=1))
    await _informed_for(sentinels, 2 * QUERY_PERIOD + 2 * ANSWER_WITHIN)
    assert _host(sentinels) == "b"


@on_manual_time
async def test_opening_a_connection_is_cancelled_as_soon_as_another_master_is_named(sentinels: Sentinels) -> None:
    address, discovery = sentinels.address, sentinels.discovery
    discovery.learn(NamedMaster(address.at("a", 6379), epoch=1))
    cancelled = asyncio.Event()

    async def open_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    opening = asyncio.create_task(discovery.race_move(open_for_ever(), discard=lambda _: None))
    await turns()
    discovery.learn(NamedMaster(address.at("a", 6379), epoch=2))
    await asyncio.sleep(60)
    assert not opening.done(), "it is the same server"
    discovery.learn(NamedMaster(address.at("b", 6379), epoch=3))
    with pytest.raises(TimeoutError):
        await opening
    assert cancelled.is_set()


@on_manual_time
async def test_a_connection_that_opens_in_the_moment_of_a_move_is_returned(sentinels: Sentinels) -> None:
    discovery = sentinels.discovery

    async def open_while_it_moves() -> str:
        discovery.learn(NamedMaster(sentinels.address.at("b", 6379), epoch=3))
        return "open"

    assert await discovery.race_move(open_while_it_moves(), discard=lambda _: None) == "open"


@on_manual_time
async def test_a_failure_to_open_a_connection_is_raised_as_it_is(sentinels: Sentinels) -> None:
    async def fail() -> None:
        raise ConnectionRefusedError("not listening")

    with pytest.raises(ConnectionRefusedError):
        await sentinels.discovery.race_move(fail(), discard=lambda _: None)


@on_manual_time
async def test_a_connection_that_opens_in_spite_of_the_cancellation_is_discarded(sentinels: Sentinels) -> None:
    discarded: list[str] = []

    async def open_all_the_same() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "open"

    opening = asyncio.create_task(sentinels.discovery.race_move(open_all_the_same(), discard=discarded.append))
    await turns()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert discarded == ["open"]


def test_a_connection_is_given_up_only_for_another_server_of_a_higher_epoch() -> None:
    address = SentinelAddress((), "m", RedisAddress("", 6379, None, None, 0, None))
    discovery = MasterDiscovery(address)
    here, there = address.at("here", 1), address.at("there", 1)
    connected_to = NamedMaster(here, epoch=3)
    assert discovery.why_moved(connected_to) is None

    for named, why in [
        (NamedMaster(there, epoch=2), None),
        (NamedMaster(there, epoch=3), None),
        (NamedMaster(here, epoch=4), None),
        (NamedMaster(there, epoch=4), "the Sentinels name there:1 as the master now"),
    ]:
        discovery.learn(named)
        assert discovery.why_moved(connected_to) == why


def test_the_newest_master_is_shown_before_the_sentinels_that_name_it(sentinels: Sentinels) -> None:
    assert str(sentinels.discovery) == "m of Sentinels s1:26379, s2:26379, s3:26379"
    sentinels.discovery.learn(NamedMaster(sentinels.address.at("there", 1), epoch=4))
    assert str(sentinels.discovery) == "there:1 (m of Sentinels s1:26379, s2:26379, s3:26379)"


@on_manual_time
async def test_a_newly_named_master_is_tried_without_the_back_off(sentinels: Sentinels) -> None:
    address, discovery = sentinels.address, sentinels.discovery
    discovery.learn(NamedMaster(address.at("a", 6379), epoch=1))
    tried: list[str] = []

    async def connection() -> bool:
        tried.append(_host(sentinels))
        raise ConnectionRefusedError("not listening")

    keeping = asyncio.create_task(keep_connected(connection, target=discovery, what="", base=1e6, cap=1e6))
    await turns()
    discovery.learn(NamedMaster(address.at("b", 6379), epoch=2))
    await turns()
    assert tried == ["a", "b"]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
