"""A link to all masters of a cluster: each channel is subscribed where its slot is, and again where it moves to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tannoy.fanout.cluster.link import ClusterLink
from tannoy.fanout.cluster.topology import ClusterTopology
from tannoy.fanout.redis.address import RedisAddress
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.partitions import partition_of

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_cluster import A, B, C, MemoryCluster, memory
from tests.support.scripted_redis import RecordingListener

__all__ = ["memory"]

KEYSPACE = Keyspace("tannoy")
OF_A, OF_C = 5, PARTITIONS - 1


def room(part: int, name: str = "r") -> bytes:
    return KEYSPACE.server(part).replace(b"server", b"room:" + name.encode())


class RunningLink:
    """A running link and its Redis, which sends the pushes of the test and acknowledges subscriptions at once."""

    def __init__(self, memory: MemoryCluster, cluster: ClusterTopology) -> None:
        self.memory = memory
        self.cluster = cluster
        self.listener = RecordingListener()
        self.delivered = self.listener.deliveries
        self.confirmed = self.listener.subscribed
        self.link = ClusterLink(
            cluster,
            name="test",
            echo_channel=lambda part: KEYSPACE.echo("i1", part),
            clock=manual_clock(),
            listener=self.listener,
            publish_barrier=self._publish_barrier,
        )

    def _publish_barrier(self, channel: bytes, nonce: bytes) -> "asyncio.Future[Any]":
        """Confirmed at once; a server that is mute sends it to nobody."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_result(1)
        if not self.memory.servers[self.memory.owners[partition_of(channel)]].mute:
            self.publish(channel, nonce)
        return answer

    async def live(self) -> None:
        async with asyncio.timeout(30):
            await self.link.live.wait()

    def move(self, part: int, to: RedisAddress) -> None:
        """As Redis does it: the channels of the slot are unsubscribed for all clients."""
        source = self.memory.servers[self.memory.owners[part]]
        gone = [channel for channel in source.subscribed if partition_of(channel) == part]
        self.memory.move(part, to)
        for channel in gone:
            source.subscribed.discard(channel)
            source.push(b"sunsubscribe", channel, b"0")

    def publish(self, channel: bytes, payload: bytes) -> None:
        """At the master of the slot; the link gets it if it has subscribed there."""
        server = self.memory.servers[self.memory.owners[partition_of(channel)]]
        if channel in server.subscribed:
            server.push(b"smessage", channel, payload)


@asynccontextmanager
async def listening(memory: MemoryCluster, *wanted: bytes) -> AsyncGenerator[RunningLink]:
    cluster = await memory.known()
    listener = RunningLink(memory, cluster)
    for channel in wanted:
        listener.link.subscribe(channel)
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
async def test_each_channel_is_subscribed_at_the_master_of_its_slot(memory: MemoryCluster) -> None:
    wanted = [room(part) for part in range(PARTITIONS)]
    async with listening(memory, *wanted) as listener:
        for channel in wanted:
            assert listener.link.is_subscribed(channel)
            listener.publish(channel, b"hi")
        await turns()
        assert sorted(listener.delivered) == sorted((channel, b"hi") for channel in wanted)
        for server in memory.servers.values():
            assert all(memory.owners[partition_of(channel)] == server.address for channel in server.subscribed)


@on_manual_time
async def test_the_link_is_live_when_those_to_all_masters_are(memory: MemoryCluster) -> None:
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
async def test_a_channel_added_later_is_subscribed_and_unsubscribed(memory: MemoryCluster) -> None:
    async with listening(memory) as listener:
        listener.link.subscribe(room(OF_C))
        await turns()
        assert (listener.confirmed[-1], room(OF_C) in memory.servers[C].subscribed) == (room(OF_C), True)
        listener.link.unsubscribe(room(OF_C))
        await turns()
        assert room(OF_C) not in memory.servers[C].subscribed


@on_manual_time
async def test_a_slot_that_moves_is_subscribed_at_its_new_master_and_calls_on_live(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A), room(OF_A, "s"), room(OF_A + 1)) as listener:
        listener.listener.times_live = 0
        listener.move(OF_A, C)
        await turns(3)
        assert not listener.link.live.is_set()
        await listener.live()
        assert {room(OF_A), room(OF_A, "s")} <= memory.servers[C].subscribed
        assert room(OF_A + 1) in memory.servers[A].subscribed
        assert listener.listener.times_live >= 1
        listener.publish(room(OF_A), b"again")
        await turns()
        assert listener.delivered == [(room(OF_A), b"again")]


@on_manual_time
async def test_a_slot_that_moves_away_and_back_is_subscribed_again_where_it_was(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.move(OF_A, C)
        listener.move(OF_A, A)  # before anybody has looked
        await turns(3)
        assert not listener.link.live.is_set()
        await listener.live()
        assert room(OF_A) in memory.servers[A].subscribed


@on_manual_time
async def test_a_former_master_that_never_unsubscribes_is_given_up(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        memory.servers[A].mute = True  # frozen, and its replica has taken over
        for part, owner in enumerate(memory.owners):
            if owner == A:
                memory.move(part, B)
        listener.cluster.refresh_soon()
        await asyncio.sleep(5)
        assert listener.link.live.is_set()
        assert room(OF_A) in memory.servers[B].subscribed


@on_manual_time
async def test_a_channel_added_while_its_slot_moves_is_subscribed(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.move(OF_A, C)
        listener.link.subscribe(room(OF_A, "late"))
        await listener.live()
        await turns()
        assert listener.link.is_subscribed(room(OF_A, "late"))
        assert room(OF_A, "late") in memory.servers[C].subscribed


@on_manual_time
async def test_a_channel_unsubscribed_while_its_slot_moves_is_not_subscribed_again(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.move(OF_A, C)
        await turns(3)
        listener.link.unsubscribe(room(OF_A))
        await listener.live()
        assert room(OF_A) not in memory.servers[C].subscribed


@on_manual_time
async def test_the_new_master_is_subscribed_only_after_the_former_one_has_let_go(memory: MemoryCluster) -> None:
    async with listening(memory, room(OF_A)) as listener:
        listener.publish(room(OF_A), b"before")
        await turns()
        memory.servers[A].mute = True
        memory.move(OF_A, C)
        listener.cluster.refresh_soon()
        await asyncio.sleep(0.5)
        assert room(OF_A) not in memory.servers[C].subscribed
        memory.servers[A].push(b"smessage", room(OF_A), b"last")
        memory.servers[A].push(b"sunsubscribe", room(OF_A), b"0")
        await turns()
        assert room(OF_A) in memory.servers[C].subscribed
        listener.publish(room(OF_A), b"after")
        await turns()
        assert [payload for _, payload in listener.delivered] == [b"before", b"last", b"after"]


@on_manual_time
async def test_an_echo_channel_whose_slot_moves_is_replaced_by_one_of_the_same_master(memory: MemoryCluster) -> None:
    async with listening(memory) as listener:
        listener.move(0, C)  # the first of A's partitions, which holds the echo channel of A's link
        await asyncio.sleep(5)
        assert KEYSPACE.echo("i1", 1) in memory.servers[A].subscribed
        assert listener.link.statistics().echoes_missed == 0
        assert listener.link.statistics().connections_lost == 0


@on_manual_time
async def test_the_link_to_a_master_without_slots_is_closed(memory: MemoryCluster) -> None:
    async with listening(memory, *(room(part) for part in range(PARTITIONS))) as listener:
        for part, owner in enumerate(memory.owners):
            if owner == A:
                listener.move(part, B)
        await asyncio.sleep(10)
        assert listener.link.live.is_set()
        assert listener.link.statistics().masters == 2
        assert all(listener.link.is_subscribed(room(part)) for part in range(PARTITIONS))


@on_manual_time
async def test_the_channels_of_a_replaced_master_are_subscribed_at_its_successor(memory: MemoryCluster) -> None:
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
        assert listener.link.is_subscribed(room(OF_A))
        assert listener.listener.times_live >= 1


@on_manual_time
async def test_a_barrier_is_sent_to_the_master_of_its_partition(memory: MemoryCluster) -> None:
    async with listening(memory) as listener:
        memory.servers[C].mute = True
        assert await listener.link.send_barrier(OF_A)
        unproven = listener.link.send_barrier(OF_C)
        await turns()
        assert not unproven.done()
        memory.servers[C].break_connection()
        assert not await unproven
