import itertools
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from tannoy.fanout.presence.calls import PRESENCE_SCRIPTS, PresenceRules
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.keyspace import Keyspace

from tests.support.history_room import HISTORY_SCRIPTS
from tests.support.owner_leases import OwnerLeases
from tests.support.presence_room import RULES, OpenRoom, PresenceRoom
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

_prefixes = itertools.count(1)


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
async def own_valkey() -> AsyncGenerator[Valkey]:
    """For tests that freeze or kill it."""
    async with Valkey() as running:
        yield running


@pytest.fixture
async def rejecting(valkey: Valkey) -> OwnerLeases:
    owner = OwnerLeases(valkey, max=2, policy="reject")
    await owner.identify_server()
    await owner.send_heartbeats("n1", "n2")
    return owner


@pytest.fixture
async def evicting(valkey: Valkey) -> OwnerLeases:
    owner = OwnerLeases(valkey, max=2, policy="evict_oldest")
    await owner.identify_server()
    await owner.send_heartbeats("n1", "n2", "n3")
    return owner


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    """For the scripts of history and of presence."""
    async with open_pipeline(valkey, (*HISTORY_SCRIPTS, *PRESENCE_SCRIPTS)) as pipeline:
        yield pipeline


@pytest.fixture
async def open_room(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[OpenRoom]:
    """`await open_room(grace=…, events_max=…, inline_max=…, told=…)`: a room that no other test uses."""
    async with AsyncExitStack() as stack:

        async def open_it(
            *,
            grace: float = 0,
            events_max: int = RULES.events_max,
            inline_max: int = RULES.inline_max,
            told: str = RULES.told,
        ) -> PresenceRoom:
            rules = PresenceRules(inline_max=inline_max, events_max=events_max, grace=grace, told=told)
            keyspace = Keyspace(f"p{next(_prefixes)}")
            return await stack.enter_async_context(PresenceRoom.open(valkey, pipeline, keyspace, rules))

        yield open_it


@pytest.fixture
async def room(open_room: OpenRoom) -> PresenceRoom:
    return await open_room()
