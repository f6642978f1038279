"""Refreshing the slot map: one round at a time, the newest map counts, and no outdated one misleads."""

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
"""(the server that serves all slots, epoch)"""


class Servers:
    """Each server answers with the map that the test has set, or an error; None: it does not answer."""

    def __init__(self) -> None:
        self.views: dict[RedisAddress, View | Exception | None] = {server: (A, 1) for server in (A, B, C)}
        self.with_gaps: set[RedisAddress] = set()
        """Servers that know of no master for the upper half of the slots."""
        self.at_once = 0
        self.at_most = 0

    async def ask(self, server: RedisAddress, commands: Sequence[Sequence[str]], within: float) -> list[Any]:
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
    """The master of the first partition, after one round."""
    cluster = cluster or ClusterTopology(ADDRESS, servers.ask)
    await cluster.refresh()
    return cluster.slot_map.owners[0]


@asynccontextmanager
async def running(cluster: ClusterTopology) -> AsyncGenerator[None]:
    task = asyncio.create_task(cluster.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_manual_time
async def test_the_map_with_the_highest_epoch_counts(servers: Servers) -> None:
    servers.views |= {A: (A, 4), B: (B, 5), C: (A, 4)}
    assert await learned(servers) == B


@on_manual_time
async def test_a_frozen_server_delays_a_round_only_briefly(servers: Servers) -> None:
    servers.views[B] = None
    started = manual_clock().monotonic()
    assert await learned(servers) == A
    assert manual_clock().monotonic() - started < ANSWER_WITHIN / 2


@on_manual_time
async def test_a_server_may_take_the_time_for_an_answer_that_the_caller_gives() -> None:
    async def ask_late(server: RedisAddress, commands: Sequence[Sequence[str]], within: float) -> list[Any]:
        await asyncio.sleep(4 * ANSWER_WITHIN)
        return await Servers().ask(server, commands, within)

    cluster = ClusterTopology(ADDRESS, ask_late)
    with pytest.raises(NoCluster, match="does not answer"):
        await cluster.refresh()
    await cluster.refresh(answer_within=5 * ANSWER_WITHIN)
    assert cluster.slot_map.masters


@on_manual_time
async def test_a_whole_map_counts_more_than_a_newer_one_with_gaps(servers: Servers) -> None:
    servers.views |= {A: (A, 4), B: (B, 5), C: (A, 4)}
    servers.with_gaps.add(B)
    assert await learned(servers) == A


@on_manual_time
async def test_without_a_map_the_error_has_the_reason_of_each_server(servers: Servers) -> None:
    servers.views |= {A: ConnectionRefusedError("not listening"), B: None, C: (None, 1)}
    with pytest.raises(NoCluster) as caught:
        await learned(servers)
    assert sorted(str(caught.value).partition("(")[2].rstrip(")").split("; ")) == [
        "a:6379: not listening",
        "b:6379: does not answer",
        "c:6379: serves no slots, and knows of no server that does",
    ]


@on_manual_time
async def test_a_server_outside_a_cluster_is_an_error_that_names_the_right_url(servers: Servers) -> None:
    async def ask(server: RedisAddress, commands: Sequence[Sequence[str]], within: float) -> list[Any]:
        refused = RedisError("ERR This instance has cluster support disabled")
        return [refused, refused]

    with pytest.raises(NoCluster, match="is no part of one: its URL begins with redis://"):
        await ClusterTopology(ADDRESS, ask).refresh()


@on_manual_time
async def test_a_node_goes_on_with_its_slot_map_when_a_server_tells_of_one_that_can_not_be(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    known = await learned(servers, cluster)
    servers.views = dict.fromkeys(servers.views, (RedisAddress("a..b", 6379, None, None, 0, None), 2))
    with pytest.raises(NoCluster, match=r"gives an invalid answer: 'a\.\.b' is no host name"):
        await cluster.refresh()
    assert cluster.slot_map.owners[0] == known


@on_manual_time
async def test_the_other_seeds_are_asked_when_the_first_ones_are_gone() -> None:
    seeds = tuple(RedisAddress(f"s{number}", 6379, None, None, 0, None) for number in range(10))
    servers = Servers()
    servers.views = dict.fromkeys(seeds, ConnectionRefusedError("not listening"))
    servers.views[seeds[4]] = (B, 1)
    assert await learned(servers, ClusterTopology(ClusterAddress(seeds), servers.ask)) == B


@on_manual_time
async def test_the_hint_is_asked_and_believed_among_maps_of_the_same_epoch(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    servers.views |= {A: (A, 4), B: (A, 4), C: (B, 4)}
    for _ in range(20):
        cluster.refresh_soon(C)
        assert await learned(servers, cluster) == B


@on_manual_time
async def test_an_older_map_is_not_believed(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    servers.views |= dict.fromkeys((A, B, C), (B, 7))
    assert await learned(servers, cluster) == B
    servers.views |= {A: (A, 6), B: None, C: None}
    assert await learned(servers, cluster) == B


@on_manual_time
async def test_a_cluster_that_was_created_anew_is_believed_after_several_rounds(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    servers.views |= dict.fromkeys((A, B, C), (B, 7))
    await cluster.refresh()
    servers.views |= dict.fromkeys((A, B, C), (A, 1))
    owners = [await learned(servers, cluster) for _ in range(OLDER_MAX)]
    assert owners == [B] * (OLDER_MAX - 1) + [A]


@on_manual_time
async def test_many_requests_to_refresh_cause_one_round_at_a_time(servers: Servers) -> None:
    cluster = ClusterTopology(ADDRESS, servers.ask)
    looks: list[float] = []
    cluster.add_listener(lambda: looks.append(manual_clock().monotonic()), lambda: True)
    async with running(cluster):
        for _ in range(1000):
            cluster.refresh_soon()
            await asyncio.sleep(0.001)
            assert servers.at_once <= 3
    assert len(looks) > 3
    assert min(later - sooner for sooner, later in pairwise(looks)) >= PAUSE


@on_manual_time
async def test_rounds_are_rare_while_all_is_well_and_frequent_in_trouble(servers: Servers) -> None:
    cluster, well, looks = ClusterTopology(ADDRESS, servers.ask), [True], [0]
    cluster.add_listener(lambda: looks.__setitem__(0, looks[0] + 1), lambda: well[0])
    await cluster.refresh()
    async with running(cluster):
        await asyncio.sleep(4 * PERIOD)
        seldom, looks[0], well[0] = looks[0], 0, False
        cluster.refresh_soon()
        await asyncio.sleep(4 * PERIOD)
    assert 2 <= seldom <= 6
    assert looks[0] > 4 * PERIOD / (2 * (PERIOD_IN_TROUBLE + PAUSE))


@on_manual_time
async def test_a_round_asks_one_server_while_all_is_well(servers: Servers) -> None:
    cluster, at_once = ClusterTopology(ADDRESS, servers.ask), list[int]()
    cluster.add_listener(lambda: at_once.append(servers.at_most), lambda: True)
    await cluster.refresh()
    servers.at_most = 0
    async with running(cluster):
        await asyncio.sleep(3 * PERIOD)
        assert set(at_once) == {1}
        cluster.refresh_soon()
        await asyncio.sleep(PERIOD / 2)
    assert at_once[-1] == 3


@on_manual_time
async def test_listeners_are_called_after_a_round_without_an_answer(servers: Servers) -> None:
    servers.views |= dict.fromkeys((A, B, C), ConnectionRefusedError("not listening"))
    cluster, called = ClusterTopology(ADDRESS, servers.ask), asyncio.Event()
    cluster.add_listener(called.set, lambda: True)
    async with running(cluster):
        cluster.refresh_soon()
        await turns(30)
        assert called.is_set()
