"""What a cluster does when Redis is frozen, killed, restarted, or cuts its links, and when a node dies."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from tests.cluster.conftest import READY_AGAIN_SECONDS
from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess, Transport, all_ready
from tests.support.node import PRODUCT
from tests.support.waiting import eventually, value_becomes

NOT_READY_SECONDS = 3.0
"""In which every node is not ready after Redis has stopped."""
UNAVAILABLE_SECONDS = 0.5


@pytest.fixture(params=[Transport.FAST, Transport.PORTABLE], ids=str)
async def cluster(request: pytest.FixtureRequest) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=3, transport=request.param, times=PRODUCT) as running:
        yield running


async def _none_ready(cluster: Cluster) -> bool:
    return not any([await node.is_ready() for node in cluster.nodes])


async def _publishing_fails_honestly(client: Client) -> float:
    """Seconds until the client has its error."""
    started = time.monotonic()
    failure = await client.call("message", content="lost")
    took = time.monotonic() - started
    assert (failure["type"], failure["code"]) == ("error", "unavailable")
    assert failure["retry_after"] > 0
    return took


async def _all_receive(cluster: Cluster, clients: list[Client], content: str) -> None:
    """A message on each channel from another node reaches its socket: no client had to reconnect."""
    for number, client in enumerate(clients):
        other = cluster.nodes[(number + 1) % len(cluster.nodes)]
        await _is_published(other, f"room.{number}", content)
        received = await client.find(lambda frame: frame.get("content") == content, content)
        assert received["room"] == f"room.{number}"


async def _is_published(node: NodeProcess, room: str, content: str) -> None:
    """As a back end does it: what was not confirmed is repeated under its key."""

    async def is_confirmed() -> bool:
        body = {"content": content, "key": content}
        answer = await node.http.post(f"/api/v1/rooms/{room}/messages", json=body)
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 200

    await eventually(is_confirmed, what=f"{content!r} is published")


async def test_redis_frozen_then_killed_and_restarted_costs_no_connection(cluster: Cluster) -> None:
    clients = [await cluster.nodes[n % 3].connect(f"/ws/chat/room.{n}") for n in range(12)]
    await _all_receive(cluster, clients, "before")

    cluster.valkey.freeze()
    red_after = await eventually(
        lambda: _none_ready(cluster), within=NOT_READY_SECONDS, what="readiness is red on every node"
    )
    took = [await _publishing_fails_honestly(client) for client in clients[:5]]
    assert min(took) < UNAVAILABLE_SECONDS  # a busy machine adds to it, now more and now less
    answer = await cluster.nodes[0].http.post("/api/v1/rooms/room.0/messages", json={"content": 1})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    await asyncio.sleep(max(0.0, 5.0 - red_after))  # frozen for five seconds in all

    cluster.valkey.kill()
    await _publishing_fails_honestly(clients[0])
    await cluster.valkey.start()
    await eventually(lambda: all_ready(cluster.nodes), within=READY_AGAIN_SECONDS, what="every node is ready again")

    await _all_receive(cluster, clients, "after")
    assert await cluster.total("hub", "sessions") == len(clients)
    for client in clients:
        await client.close()


async def test_a_freeze_that_ends_heals_without_a_restart(cluster: Cluster) -> None:
    clients = [await cluster.nodes[n % 3].connect(f"/ws/chat/room.{n}") for n in range(3)]

    cluster.valkey.freeze()
    await eventually(lambda: _none_ready(cluster), within=NOT_READY_SECONDS, what="readiness is red on every node")
    cluster.valkey.thaw()
    await eventually(lambda: all_ready(cluster.nodes), within=READY_AGAIN_SECONDS, what="every node is ready again")

    await _all_receive(cluster, clients, "after")
    for client in clients:
        await client.close()


async def test_a_link_that_redis_closes_is_replaced_with_all_its_channels(cluster: Cluster) -> None:
    clients = [await cluster.nodes[n % 3].connect(f"/ws/chat/room.{n}") for n in range(30)]

    for kind in ("pubsub", "normal"):
        await cluster.valkey.run("CLIENT", "KILL", "TYPE", kind)
        await eventually(lambda: all_ready(cluster.nodes), within=READY_AGAIN_SECONDS, what="every node is ready again")
        await _all_receive(cluster, clients, f"after {kind}")

    for client in clients:
        await client.close()


async def test_a_join_while_redis_is_away_is_refused_and_leaves_nothing_behind(cluster: Cluster) -> None:
    client = await cluster.nodes[0].connect("/ws")
    cluster.valkey.freeze()
    await eventually(lambda: _none_ready(cluster), within=NOT_READY_SECONDS, what="readiness is red on every node")

    failure = await client.call("join", room="room.0")
    assert failure["code"] == "unavailable"
    turned_away = await Client.open(cluster.nodes[0].ws_url + "/ws/chat/room.1")
    bye, code = await turned_away.bye()
    assert (bye["code"], bye["retry_after"] > 0, code) == (1013, True, 1013)

    cluster.valkey.thaw()
    await eventually(lambda: all_ready(cluster.nodes), within=READY_AGAIN_SECONDS, what="every node is ready again")
    await value_becomes(lambda: cluster.nodes[0].count("subscriptions", "channels"), 0)
    await client.ok("join", room="room.0")
    await client.close()


async def test_a_killed_node_ends_only_its_own_connections(cluster: Cluster) -> None:
    first, second = [await node.connect("/ws/chat/room.0") for node in cluster.nodes[:2]]

    await cluster.nodes[0].kill()

    assert await first.close_code() == 1006
    again = await cluster.nodes[2].connect("/ws/chat/room.0")
    await again.ok("message", content="moved")
    assert await second.contents(1) == ["moved"]
    await second.close()
    await again.close()


async def test_a_private_message_counts_without_waiting_for_a_dead_node(cluster: Cluster) -> None:
    ada = await cluster.nodes[0].connect("/ws")
    bob = await cluster.nodes[1].connect("/ws?user_id=bob")
    await cluster.nodes[2].kill()

    assert (await ada.ok("private", to="bob", content=1))["sessions"] == 1

    assert (await bob.expect("private"))["content"] == 1
    await ada.close()
    await bob.close()


async def test_a_key_still_publishes_once_after_redis_has_lost_its_scripts(cluster: Cluster) -> None:
    client = await cluster.nodes[0].connect("/ws/chat/room.0")
    await cluster.valkey.run("SCRIPT", "FLUSH")

    for content in ("first", "again"):
        await client.ok("message", content=content, key="k")
    await client.ok("message", content="last")

    assert await client.contents(2) == ["first", "last"]
    await client.close()
