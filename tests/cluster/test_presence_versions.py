"""A member whose version of a room is not that of Redis is told so, and learns who is there."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.client import Client, Frame
from tests.support.cluster import Cluster
from tests.support.node import HASTY, HASTY_LEASES

TIMES = replace(HASTY, leases=replace(HASTY_LEASES, repair_seconds=0.1, round_seconds=0.8))
META = Keyspace("tannoy").presence(Keyspace("tannoy").room(RoomName("lobby"))).meta


@pytest.fixture
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2, times=TIMES) as cluster:
        yield cluster


async def users_from_the_next_count(member: Client) -> tuple[Frame, set[str]]:
    """The next event of a count, and whom the room lists after it."""
    count = await member.expect("presence")
    answer = await member.ok("presence")
    return count, {user["user_id"] for user in answer["users"]}


async def test_who_came_below_the_version_that_members_have_seen_is_listed_behind_a_later_one(cluster: Cluster) -> None:
    ada = await cluster.nodes[0].connect("/ws/chat/lobby?user_id=ada")
    await cluster.nodes[1].connect("/ws/chat/lobby?user_id=bob")
    seen = (await ada.expect("user_joined"))["version"]
    # As on a server to which the address leads now, while the former one was still written to.
    await cluster.valkey.run("HINCRBY", META, "v", "-1000")

    await cluster.nodes[1].connect("/ws/chat/lobby?user_id=cyd")

    count, users = await users_from_the_next_count(ada)
    assert count["version"] > seen + 1
    assert users == {"ada", "bob", "cyd"}


async def test_an_event_that_was_never_delivered_shows_although_none_comes_after_it(cluster: Cluster) -> None:
    ada = await cluster.nodes[0].connect("/ws/chat/lobby?user_id=ada")
    version = await cluster.valkey.run("HINCRBY", META, "v", "1")

    count, users = await users_from_the_next_count(ada)
    assert count["version"] > version
    assert users == {"ada"}
