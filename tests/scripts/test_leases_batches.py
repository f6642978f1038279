"""Leases that a real Valkey grants and releases in one call: what each gets, and the order of those of one owner."""

import asyncio
import itertools
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.heartbeats import HeartbeatCalls
from tannoy.fanout.leases.calls import LEASE_SCRIPTS, Full, Held, LeaseCalls
from tannoy.fanout.leases.lease import Lease
from tannoy.fanout.redis.errors import CommandFailed
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.scripts import HEARTBEAT, SERVER_ENSURE
from tannoy.fanout.server_life import SeenData
from tannoy.fanout.unreadable import UnreadableData
from tannoy.shared.channels import PARTITIONS, Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.policy import Limit, LimitPolicy

from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

ONE = Limit(1, LimitPolicy.REJECT)
_prefixes = itertools.count(1)


class Node:
    """The leases of the process n1, whose heartbeat holds in each partition."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.keyspace = Keyspace(f"batches-{next(_prefixes)}")
        self._pipeline = pipeline
        self._calls = LeaseCalls(pipeline, self.keyspace, incarnation="n1")
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        beats = HeartbeatCalls(self.keyspace, "n1", UnreadableData())
        for part in range(PARTITIONS):
            await self._pipeline.run_script(SERVER_ENSURE, (self.keyspace.server(part),), (0,))
        await beats.beat(self._pipeline, range(PARTITIONS), 60_000, lambda part: SeenData())

    def new_lease(self, agent: str) -> Lease:
        number = next(self._numbers)
        return Lease(Owner(OwnerKind.AGENT, agent), f"n1|{number}|s{number}", b"{}", lambda order: None)

    def acquire(self, *leases: Lease) -> "list[asyncio.Task[object]]":
        return [asyncio.create_task(self._acquire(lease)) for lease in leases]

    async def _acquire(self, lease: Lease) -> object:
        return await self._calls.acquire(lease, ONE, has_waited=False)

    def release(self, lease: Lease) -> "asyncio.Future[object]":
        return self._calls.release(lease)


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, (*LEASE_SCRIPTS, SERVER_ENSURE, HEARTBEAT)) as pipeline:
        yield pipeline


@pytest.fixture
async def node(pipeline: Pipeline) -> Node:
    node = Node(pipeline)
    await node.start()
    return node


async def test_leases_of_several_owners_are_granted_under_generations_of_their_own(node: Node) -> None:
    leases = [node.new_lease(agent) for agent in ("a", "b", "c")]
    granted = await asyncio.gather(*node.acquire(*leases))
    assert [type(answer) for answer in granted] == [Held, Held, Held]


async def test_a_lease_that_is_refused_refuses_no_other_of_its_batch(node: Node) -> None:
    first, second, third = map(node.new_lease, ("a", "a", "b"))
    answers = await asyncio.gather(*node.acquire(first, second, third))
    assert [type(answer) for answer in answers] == [Held, Full, Held]


async def test_leases_that_can_not_be_read_refuse_those_of_their_owner_alone(valkey: Valkey, node: Node) -> None:
    first, second, third = map(node.new_lease, ("a", "b", "c"))
    await valkey.run("SET", node.keyspace.leases(second.owner, "n1").held, "a text")
    acquiring = node.acquire(first, second, third)
    assert [type(await acquiring[at]) for at in (0, 2)] == [Held, Held]
    with pytest.raises(CommandFailed) as refused:
        await acquiring[1]
    assert refused.value.refusal is not None
    assert refused.value.refusal.code == "WRONGTYPE"


async def test_a_place_that_is_released_in_the_same_turn_is_granted(node: Node) -> None:
    old, new = node.new_lease("a"), node.new_lease("a")
    await asyncio.gather(*node.acquire(old))
    releasing = node.release(old)
    [answer] = await asyncio.gather(*node.acquire(new))
    await releasing
    assert isinstance(answer, Held)


async def test_a_release_behind_its_acquire_in_the_same_turn_frees_the_place(node: Node) -> None:
    gone, new = node.new_lease("a"), node.new_lease("a")
    acquiring = node.acquire(gone)
    await asyncio.sleep(0)
    await asyncio.gather(*acquiring, node.release(gone))
    [answer] = await asyncio.gather(*node.acquire(new))
    assert isinstance(answer, Held)


async def test_a_waiting_lease_is_told_in_the_answer_to_the_release_that_grants_it(node: Node) -> None:
    held = [node.new_lease(agent) for agent in ("a", "b")]
    await asyncio.gather(*node.acquire(*held))
    evicting = Limit(1, LimitPolicy.EVICT_OLDEST)
    newcomer = node.new_lease("b")
    await node._calls.acquire(newcomer, evicting, has_waited=False)  # pyright: ignore[reportPrivateUsage]
    assert await asyncio.gather(*map(node.release, held)) == [b"", newcomer.name.encode()]
