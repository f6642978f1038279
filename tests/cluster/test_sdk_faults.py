"""Publishers of the SDK where something is wrong: Redis is away, frozen, forgetful, locked, or sealed by others."""

import asyncio
import re

import pytest
from tannoy import AsyncPublisher, InvalidSettings, ManyFailed, PublishUnavailable, Unauthorized
from tannoy.sdk.errors import PublisherClosed

from tests.support.cluster import PROJECT, Cluster
from tests.support.node import STEADY
from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_servers import binary_of, two_nodes
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually


async def _publishes(publisher: AsyncPublisher) -> bool:
    try:
        await publisher.to_room("lobby", "again")
    except PublishUnavailable:
        return False
    return True


async def test_redis_that_is_away_is_told_within_the_timeout_and_used_again_when_it_is_back() -> None:
    async with Valkey() as valkey, AsyncPublisher(valkey.url) as publisher:
        valkey.kill()
        with pytest.raises(
            PublishUnavailable, match=r"^Redis at 127.0.0.1:\d+ has not confirmed it within 5 s: "
        ) as told:
            await publisher.to_room("lobby", "lost", key="mine")
        assert told.value.key == "mine"
        with pytest.raises(PublishUnavailable, match="the answers of nodes can't come"):
            await publisher.to_user("ada", "lost")
        await valkey.start()
        await eventually(lambda: _publishes(publisher), what="a publish is confirmed again")


async def test_a_message_that_a_frozen_redis_takes_late_is_published_once() -> None:
    async with Cluster(nodes=1, times=STEADY) as cluster:
        listener = await cluster.nodes[0].connect("/ws/chat/lobby?user_id=ada")
        async with AsyncPublisher(cluster.valkey.url, timeout=PATIENCE) as publisher:
            first = await publisher.to_room("lobby", 0)
            cluster.valkey.freeze()
            waiting = [asyncio.create_task(publisher.to_room("lobby", 1)) for _ in range(3)]
            done, _ = await asyncio.wait(waiting, timeout=1.0)  # time for several tries
            cluster.valkey.thaw()
            positions = await asyncio.gather(*waiting)
        assert done == set()
        assert first is not None
        assert sorted(each.offset for each in positions if each) == [first.offset + n for n in (1, 2, 3)]
        assert await listener.contents(4) == [0, 1, 1, 1]
        assert await listener.received_since() == []


async def test_what_was_not_confirmed_of_many_ends_it() -> None:
    async with Valkey() as valkey, AsyncPublisher(valkey.url) as publisher:
        valkey.kill()
        with pytest.raises(ManyFailed, match=r"^20 of 20 messages failed") as failed:
            await publisher.many([{"room": "lobby", "content": "x" * 50_000} for _ in range(20)])
    said = [str(each) for each in failed.value.results]
    assert all("has not confirmed it" in each for each in said[:2])
    assert all("not sent, since a message before it failed" in each for each in said[-10:])


async def test_a_redis_that_is_not_there_is_told_when_the_publisher_is_opened() -> None:
    with pytest.raises(PublishUnavailable, match=r"^Redis at 127.0.0.1:\d+ .*can't be reached: .* Is it running\?$"):
        await AsyncPublisher(f"redis://127.0.0.1:{free_port()}").open()


async def test_a_url_that_names_no_server_is_told_without_its_password() -> None:
    with pytest.raises(InvalidSettings, match=r"^the URL of Redis has a port that is no number") as told:
        await AsyncPublisher("redis://:secret@host:port").open()
    assert "secret" not in str(told.value)


async def test_wrong_credentials_are_told_when_the_publisher_is_opened() -> None:
    async with Valkey("--requirepass", "right") as valkey:
        with pytest.raises(Unauthorized, match="wants other credentials"):
            await AsyncPublisher(valkey.url.replace("//", "//:wrong@")).open()


async def test_a_right_that_is_taken_away_is_told_at_once() -> None:
    async with Valkey() as valkey, AsyncPublisher(valkey.url, timeout=PATIENCE) as publisher:
        async with valkey.refusing("publish"):
            with pytest.raises(Unauthorized, match=r"does not let us publish"):
                await publisher.to_room("lobby", 1)
        await publisher.to_room("lobby", 2)


async def test_a_user_with_the_rights_of_the_page_publishes_everywhere() -> None:
    rights = re.search(r"^user publisher on >secret (.*)$", (PROJECT / "docs/sdk.md").read_text(), re.MULTILINE)
    assert rights is not None
    async with Cluster(nodes=1, times=STEADY) as cluster:
        await cluster.nodes[0].connect("/ws?user_id=ada")
        await cluster.valkey.run("ACL", "SETUSER", "publisher", "on", ">secret", "resetchannels", *rights[1].split())
        url = cluster.valkey.url.replace("//", "//publisher:secret@")
        async with AsyncPublisher(url, timeout=PATIENCE) as publisher:
            await publisher.to_room("lobby", 1, key="k")
            assert await publisher.to_user("ada", 1) == 1


async def test_a_script_that_redis_has_lost_is_loaded_again() -> None:
    async with Valkey() as valkey, AsyncPublisher(valkey.url, timeout=PATIENCE) as publisher:
        before = await publisher.to_room("lobby", 1)
        await valkey.run("SCRIPT", "FLUSH")
        after = await publisher.to_room("lobby", 2)
    assert before is not None
    assert after == before._replace(offset=before.offset + 1)


async def test_what_is_being_published_when_the_publisher_is_closed_fails() -> None:
    async with Valkey() as valkey:
        publisher = await AsyncPublisher(valkey.url, timeout=PATIENCE).open()
        valkey.freeze()
        publishing = asyncio.create_task(publisher.to_room("lobby", 1))
        await asyncio.sleep(0)
        await publisher.close()
        valkey.thaw()
        with pytest.raises(PublisherClosed):
            await publishing


async def test_a_node_with_a_secret_hears_a_publisher_with_the_same_one_alone() -> None:
    async with Cluster(nodes=1, times=STEADY, CLUSTER_SECRET="ours") as cluster:
        url, node = cluster.valkey.url, cluster.nodes[0]
        listener = await node.connect("/ws/chat/lobby?user_id=ada")
        async with (
            AsyncPublisher(url, timeout=PATIENCE, cluster_secret="theirs") as stranger,
            AsyncPublisher(url, timeout=PATIENCE, cluster_secret="ours") as publisher,
        ):
            await stranger.to_room("lobby", "forged")
            await publisher.to_room("lobby", "sealed")
            assert await publisher.to_user("ada", "for you") == 1
            with pytest.raises(PublishUnavailable, match="no node has responded in time"):
                await stranger.to_user("ada", "forged")
        assert "sealed" in await listener.contents(1)
        assert (await listener.expect("private"))["content"] == "for you"
        assert [frame for frame in await listener.received_since() if frame.get("content") == "forged"] == []


async def test_without_history_there_is_no_position_and_a_key_still_publishes_once() -> None:
    async with Cluster(nodes=1, times=STEADY, HISTORY_SIZE="0") as cluster:
        listener = await cluster.nodes[0].connect("/ws/chat/lobby?user_id=ada")
        async with AsyncPublisher(cluster.valkey.url, timeout=PATIENCE, history_size=0) as publisher:
            results = [await publisher.to_room("lobby", n, key=key) for n, key in enumerate(["k", "k", None])]
        assert results == [None, None, None]
        assert await listener.contents(2) == [0, 2]


async def test_a_prefix_and_a_database_are_those_of_the_nodes() -> None:
    async with Cluster(nodes=1, times=STEADY, REDIS_PREFIX="mine") as cluster:
        listener = await cluster.nodes[0].connect("/ws/chat/lobby")
        async with AsyncPublisher(cluster.valkey.url, timeout=PATIENCE, redis_prefix="mine") as publisher:
            await publisher.to_room("lobby", "heard")
        assert await listener.contents(1) == ["heard"]


async def test_on_a_redis_cluster_rooms_and_users_are_reached_over_all_masters() -> None:
    rooms = [f"r{n}" for n in range(24)]
    async with RedisCluster(binary_of("valkey")) as redis, two_nodes(redis.url) as nodes:
        listener = await nodes[0].connect("/ws?user_id=ada")
        other = await nodes[1].connect("/ws?user_id=ada")
        for room in rooms:
            await listener.ok("join", room=room)
        async with AsyncPublisher(redis.url, timeout=PATIENCE) as publisher:
            await publisher.many([{"room": room, "content": room} for room in rooms])
            assert await publisher.to_user("ada", "for both") == 2
        assert sorted(await listener.contents(len(rooms))) == sorted(rooms)
        assert (await other.expect("private"))["content"] == "for both"
