"""A link to all masters of a cluster: each channel where its slot is, found again wherever it goes, in order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.cluster.link import ClusterLink
from tannoy.fanout.cluster.topology import ClusterTopology
from tannoy.fanout.redis.address import RedisAddress
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.keyspace import Keyspace, partition_of

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_cluster import A, B, C, MemoryCluster, memory
from tests.support.scripted_redis import RecordingListener

__all__ = ["memory"]

KEYSPACE = Keyspace("tannoy")
OF_A, OF_C = 5, PARTITIONS - 1


def room(part: int, name: str = "r") -> bytes:
    return KEYSPACE.server(part).replace(b"server", b"room:" + name.encode())


class Listener:
    """A running link, and its Redis: pushes are what the test says, subscriptions are confirmed at once."""

    def __init__(self, memory: MemoryCluster, cluster: ClusterTopology) -> None:
        self.memory = memory
        self.cluster = cluster
        self.listener = RecordingListener()
        self.heard = self.listener.deliveries
        self.confirmed = self.listener.subscribed
        self.link = ClusterLink(
            cluster,
            name="test",
            echo_channel=lambda part: KEYSPACE.echo("i1", part),
            clock=manual_clock(),
            listener=self.listener,
        )

    async def live(self) -> None:
        async with asyncio.timeout(30):
            await self.link.live.wait()

    def move(self, part: int, to: RedisAddress) -> None:
        """As Redis does it: who hears a channel of the slot is told that it does not any more."""
        source = self.memory.servers[self.memory.owners[part]]
        gone = [channel for channel in source.subscribed if partition_of(channel) == part]
        self.memory.move(part, to)
        for channel in gone:
            source.subscribed.discard(channel)
            source.push(b"sunsubscribe", channel, b"0")

    def say(self, channel: bytes, payload: bytes) -> None:
        """At the master of its slot; whoever hears it there gets it."""
        server = self.memory.servers[self.memory.owners[partition_of(channel)]]
        if channel in server.subscribed:
            server.push(b"smessage", channel, payload)


@asynccontextmanager
async def listening(memory: MemoryCluster, *wanted: bytes) -> AsyncGenerator[Listener]:
    cluster = await memory.known()
    listener = Listener(memory, cluster)
    for channel in wanted:
        listener.link.want(channel)
    tasks = [asyncio.create_task(cluster.run()), asyncio.create_task(listener.link.run())]
    try:
        await listener.live()
        async with asyncio.timeout(60):  # of manual time: what never comes fails the test
            yield listener
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await turns()


@on_manual_time
async def test_each_channel_is_heard_at_the_master_of_its_slot(memory: MemoryCluster) -> None:
    wanted = [room(part) for part in range(PARTITIONS)]
    async with listening(memory, *wanted) as listener:
        for channel in wanted:
            assert listener.link.is_confirmed(channel)
            listener.say(channel, b"hi")
        await turns()
        assert sorted(listener.heard) == sorted((channel, b"hi") for channel in wanted)
        for server in memory.servers.values():
            assert all(memory.owners[partition_of(channel)] == server.address for channel in server.subscribed)


@on_manual_time
async def test_it_is_live_when_every_master_is_heard(memory: MemoryCluster) -> None:
    async with listening(memory) as listener:
        memory.servers[B].refuses_connections = True
        memory.servers[B].break_connection()
        await turns()
        assert (listener.link.live.is_set(), listener.link.down_for) == (False, 0.0)
        await asyncio.sleep(1)
        assert listener.link.down_for >= 1
        memory.servers[B].refuses_connections = False
        await listener.live()
        assert listener.link.down_for == 0.0


@on_manual_time
async def test_what_is_wanted_later_is_subscribed_to_and_let_go_of(memory: MemoryCluster) -> None:
    async with listening(memory) as listener:
        listener.link.want(room(OF_C))
        await turns()
        assert (listener.confirmed[-1], room(OF_C) in memory.servers[C].subscribed) == (room(OF_C), True)
        listener.link.unwant(room(OF_C))
        await turns()
        assert room(OF_C) not in memory.servers[C].subscribed


@on_manual_time
async def test_a_slot_that_moves_is_found_again_and_may_have_a_hole(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A), room(OF_A, "s"), room(OF_A + 1)) as listener:
        listener.listener.times_live = 0
        listener.move(OF_A, C)
        await turns(3)
        assert not listener.link.live.is_set()
        await listener.live()
        assert {room(OF_A), room(OF_A, "s")} <= memory.servers[C].subscribed
        assert room(OF_A + 1) in memory.servers[A].subscribed
        assert listener.listener.times_live >= 1
        listener.say(room(OF_A), b"again")
        await turns()
        assert listener.heard == [(room(OF_A), b"again")]


@on_manual_time
async def test_a_slot_that_went_and_came_back_is_heard_again_where_it_was(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.move(OF_A, C)
        listener.move(OF_A, A)  # before anybody has looked
        await turns(3)
        assert not listener.link.live.is_set()
        await listener.live()
        assert room(OF_A) in memory.servers[A].subscribed


@on_manual_time
async def test_a_master_that_never_lets_go_is_given_up(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        memory.servers[A].mute = True  # frozen, and its replica has taken over
        for part, owner in enumerate(memory.owners):
            if owner == A:
                memory.move(part, B)
        listener.cluster.stale()
        await asyncio.sleep(5)
        assert listener.link.live.is_set()
        assert room(OF_A) in memory.servers[B].subscribed


@on_manual_time
async def test_what_is_wanted_while_its_slot_moves_is_heard_too(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.move(OF_A, C)
        listener.link.want(room(OF_A, "late"))
        await listener.live()
        await turns()
        assert listener.link.is_confirmed(room(OF_A, "late"))
        assert room(OF_A, "late") in memory.servers[C].subscribed


@on_manual_time
async def test_what_is_not_wanted_any_more_when_its_slot_has_moved_is_left_alone(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.move(OF_A, C)
        await turns(3)
        listener.link.unwant(room(OF_A))
        await listener.live()
        assert room(OF_A) not in memory.servers[C].subscribed


@on_manual_time
async def test_the_new_master_is_not_heard_before_the_old_one_has_said_its_last(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.say(room(OF_A), b"before")
        await turns()
        memory.servers[A].mute = True
        memory.move(OF_A, C)
        listener.cluster.stale()
        await asyncio.sleep(0.5)
        assert room(OF_A) not in memory.servers[C].subscribed
        memory.servers[A].push(b"smessage", room(OF_A), b"last")
        memory.servers[A].push(b"sunsubscribe", room(OF_A), b"0")
        await turns()
        assert room(OF_A) in memory.servers[C].subscribed
        listener.say(room(OF_A), b"after")
        await turns()
        assert [payload for _, payload in listener.heard] == [b"before", b"last", b"after"]


@on_manual_time
async def test_an_echo_whose_slot_moves_goes_to_another_one_of_its_master(memory: MemoryCluster) -> None:
    async with listening(memory) as listener:
        listener.move(0, C)  # the first of A's partitions, in which A's link hears itself
        await asyncio.sleep(5)
        assert KEYSPACE.echo("i1", 1) in memory.servers[A].subscribed
        assert listener.link.statistics()["deaf"] == 0
        assert listener.link.statistics()["connections_lost"] == 0


@on_manual_time
async def test_a_master_that_has_lost_everything_is_left(memory: MemoryCluster) -> None:
    async with listening(memory, *(room(part) for part in range(PARTITIONS))) as listener:
        for part, owner in enumerate(memory.owners):
            if owner == A:
                listener.move(part, B)
        await asyncio.sleep(10)
        assert listener.link.live.is_set()
        assert listener.link.statistics()["masters"] == 2
        assert all(listener.link.is_confirmed(room(part)) for part in range(PARTITIONS))


@on_manual_time
async def test_a_master_that_is_replaced_is_heard_at_its_successor(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        memory.servers[A].refuses_connections = True
        memory.servers[A].break_connection()
        await asyncio.sleep(2)
        assert not listener.link.live.is_set()
        listener.listener.times_live = 0
        for part, owner in enumerate(memory.owners):
            if owner == A:
                memory.move(part, B)
        await listener.live()
        assert listener.link.is_confirmed(room(OF_A))
        assert listener.listener.times_live >= 1


@on_manual_time
async def test_a_proof_is_one_by_the_master_of_the_partition(memory: MemoryCluster) -> None:
    async with listening(memory) as listener:
        memory.servers[C].mute = True
        assert await listener.link.proof(OF_A)
        unproven = listener.link.proof(OF_C)
        await turns()
        assert not unproven.done()
        memory.servers[C].break_connection()
        assert not await unproven
