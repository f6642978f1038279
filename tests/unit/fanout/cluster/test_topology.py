"""Looking where the masters are: one look at a time, the newest view counts, and none of yesterday misleads."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from tannoy.fanout.cluster.topology import (
    ANSWER_WITHIN,
    OLDER_MAX,
    PAUSE,
    PERIOD,
    PERIOD_IN_TROUBLE,
    ClusterTopology,
    NoCluster,
)
from tannoy.fanout.redis.address import ClusterAddress, RedisAddress
from tannoy.fanout.redis.errors import RedisError

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_cluster import ADDRESS, A, B, C

View = tuple[RedisAddress | None, int]
"""(who serves all slots, epoch)"""


class Servers:
    """Each answers with the view that the test gives it, or with an error; None: it does not answer."""

    def __init__(self) -> None:
        self.views: dict[RedisAddress, View | Exception | None] = {server: (A, 1) for server in (A, B, C)}
        self.with_gaps: set[RedisAddress] = set()
        """These do not know who serves the upper half of the slots."""
        self.at_once = 0
        self.at_most = 0

    async def ask(self, server: RedisAddress, commands: Sequence[Sequence[str]]) -> list[Any]:
        self.at_once += 1
        self.at_most = max(self.at_most, self.at_once)
        try:
            match self.views[server]:
                case None:
                    await asyncio.Event().wait()
                    raise AssertionError("unreachable")
                case Exception() as error:
                    raise error
                case (owner, epoch):
                    await asyncio.sleep(0.01)
        finally:
            self.at_once -= 1
        last = 8191 if server in self.with_gaps else 16_383
        slots = [] if owner is None else [[0, last, [owner.host.encode(), 6379, b"id"]]]
        return [slots, b"txt:cluster_state:ok\r\ncluster_current_epoch:%d\r\n" % epoch]


@pytest.fixture
def servers() -> Servers:
    return Servers()


async def learned(servers: Servers, cluster: ClusterTopology | None = None) -> RedisAddress | None:
    """Who serves us, after one look."""
    cluster = cluster or ClusterTopology(ADDRESS, servers.ask)
    await cluster.learn()
    return cluster.map.owners[0]


@asynccontextmanager
async def running(cluster: ClusterTopology) -> AsyncGenerator[None]:
    task = asyncio.create_task(cluster.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_manual_time
async def test_the_newest_view_counts(servers: Servers) -> None:
    servers.views |= {A: (A, 4), B: (B, 5), C: (A, 4)}
    assert await learned(servers) == B


@on_manual_time
async def test_a_frozen_server_holds_nobody_up(servers: Servers) -> None:
    servers.views[B] = None
    started = manual_clock().monotonic()
    assert await learned(servers) == A
    assert manual_clock().monotonic() - started < ANSWER_WITHIN / 2


@on_manual_time
async def test_a_view_without_gaps_is_better_than_a_newer_one_with(servers: Servers) -> None:
    servers.views |= {A: (A, 4), B: (B, 5), C: (A, 4)}
    servers.with_gaps.add(B)
    assert await learned(servers) == A


@on_manual_time
async def test_when_nobody_knows_each_says_why(servers: Servers) -> None:
    servers.views |= {A: ConnectionRefusedError("nobody listens"), B: None, C: (None, 1)}
    with pytest.raises(NoCluster) as caught:
        await learned(servers)
    assert sorted(str(caught.value).partition("(")[2].rstrip(")").split("; ")) == [
        "a:6379: nobody listens",
        "b:6379: does not answer",
        "c:6379: serves no slots, and knows nobody who does",
    ]


@on_manual_time
async def test_a_server_that_is_no_part_of_a_cluster_says_what_to_write(servers: Servers) -> None:
    async def ask(server: RedisAddress, commands: Sequence[Sequence[str]]) -> list[Any]:
        refused = RedisError("ERR This instance has cluster support disabled")
        return [refused, refused]

    with pytest.raises(NoCluster, match="is no part of one: its URL begins with redis://"):
        await ClusterTopology(ADDRESS, ask).learn()


@on_manual_time
async def test_the_others_are_asked_when_the_first_ones_are_gone() -> None:
    seeds = tuple(RedisAddress(f"s{number}", 6379, None, None, 0, None) for number in range(10))
    servers = Servers()
    servers.views = dict.fromkeys(seeds, ConnectionRefusedError("nobody listens"))
    servers.views[seeds[4]] = (B, 1)
    assert await learned(servers, ClusterTopology(ClusterAddress(seeds), servers.ask)) == B


@on_manual_time
async def test_who_has_told_of_a_change_is_asked_and_believed_among_equals(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    servers.views |= {A: (A, 4), B: (A, 4), C: (B, 4)}
    for _ in range(20):
        cluster.stale(C)
        assert await learned(servers, cluster) == B


@on_manual_time
async def test_an_older_view_is_not_believed(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    servers.views |= dict.fromkeys((A, B, C), (B, 7))
    assert await learned(servers, cluster) == B
    servers.views |= {A: (A, 6), B: None, C: None}
    assert await learned(servers, cluster) == B


@on_manual_time
async def test_a_cluster_that_was_made_anew_is_believed_in_the_end(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    servers.views |= dict.fromkeys((A, B, C), (B, 7))
    await cluster.learn()
    servers.views |= dict.fromkeys((A, B, C), (A, 1))
    owners = [await learned(servers, cluster) for _ in range(OLDER_MAX)]
    assert owners == [B] * (OLDER_MAX - 1) + [A]


@on_manual_time
async def test_however_many_find_out_there_is_one_look_at_a_time(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    looks: list[float] = []
    cluster.listen(lambda: looks.append(manual_clock().monotonic()), lambda: True)
    async with running(cluster):
        for _ in range(1000):
            cluster.stale()
            await asyncio.sleep(0.001)
            assert servers.at_once <= 3
    assert len(looks) > 3
    assert min(later - sooner for sooner, later in pairwise(looks)) >= PAUSE


@on_manual_time
async def test_there_is_a_look_now_and_then_and_often_while_somebody_is_missed(servers: Servers) -> None:
    cluster, well, looks = ClusterTopology(ADDRESS, servers.ask), [True], [0]
    cluster.listen(lambda: looks.__setitem__(0, looks[0] + 1), lambda: well[0])
    await cluster.learn()
    async with running(cluster):
        await asyncio.sleep(4 * PERIOD)
        seldom, looks[0], well[0] = looks[0], 0, False
        cluster.stale()
        await asyncio.sleep(4 * PERIOD)
    assert 2 <= seldom <= 6
    assert looks[0] > 4 * PERIOD / (2 * (PERIOD_IN_TROUBLE + PAUSE))


@on_manual_time
async def test_while_nothing_is_in_doubt_one_server_is_asked(servers: Servers) -> None:
    cluster, at_once = ClusterTopology(ADDRESS, servers.ask), list[int]()
    cluster.listen(lambda: at_once.append(servers.at_most), lambda: True)
    await cluster.learn()
    servers.at_most = 0
    async with running(cluster):
        await asyncio.sleep(3 * PERIOD)
        assert set(at_once) == {1}
        cluster.stale()
        await asyncio.sleep(PERIOD / 2)
    assert at_once[-1] == 3


@on_manual_time
async def test_whoever_listens_is_told_even_if_nobody_knew(servers: Servers) -> None:
    servers.views |= dict.fromkeys((A, B, C), ConnectionRefusedError("nobody listens"))
    cluster, told = ClusterTopology(ADDRESS, servers.ask), asyncio.Event()
    cluster.listen(told.set, lambda: True)
    async with running(cluster):
        cluster.stale()
        await turns(30)
        assert told.is_set()
