"""A join after its subscription: presence, buffered publications, refusals, and sessions of agents."""

import asyncio

import pytest
from tannoy.fanout.presence.calls import FENCED
from tannoy.fanout.presence.present import PresentSession
from tannoy.fanout.scripts import PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.delivery import roster as roster_module
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.names import UserId
from tannoy.shared.policy import LimitMode
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.client_driver import ClientDriver, send_join
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import AGENT, GENERATION, HEAD, PRESENCE_FIELDS, ROOM, VERSION, UnitNode


def publication(number: int, version: int = 0) -> Publication:
    return Publication(EncodedMessage(b'{"number":%d}' % number, b""), version=version)


# ---- refused


@pytest.mark.parametrize("why", ["redis does not confirm", "the heartbeat has expired"])
@on_manual_time
async def test_join_without_confirmed_presence_is_unavailable_and_the_session_stays_open(why: str) -> None:
    node = UnitNode()
    if "redis" in why:
        node.redis.leave_unconfirmed(PRESENCE_JOIN)
    node.redis.reply_with(PRESENCE_JOIN, FENCED)
    client = send_join(node)
    client.received()
    await node.acknowledge()
    assert [(frame["id"], frame["code"]) for frame in client.received()] == [(1, "unavailable")]
    assert (node.subscriptions.holders(ROOM.address), node.hub.rosters) == (0, {})
    client.send(type="ping", id=2)
    assert client.received() == [{"type": "pong", "id": 2}]


@on_manual_time
async def test_presence_that_redis_does_not_confirm_is_left_again() -> None:
    node = UnitNode()
    node.redis.leave_unconfirmed(PRESENCE_JOIN)
    send_join(node)
    await node.acknowledge()
    assert node.presence_numbers(PRESENCE_JOIN) == node.presence_numbers(PRESENCE_LEAVE) != []


@on_manual_time
async def test_connection_to_a_room_without_confirmed_presence_is_closed_with_try_again_later() -> None:
    node = UnitNode()
    node.redis.leave_unconfirmed(PRESENCE_JOIN)
    client = ClientDriver(node, Endpoint.ROOM)
    await node.acknowledge()
    assert [(frame["type"], frame["code"]) for frame in client.received()] == [("bye", 1013)]
    assert node.subscriptions.holders(ROOM.address) == 0


@on_manual_time
async def test_join_buffer_that_overflows_is_sent_behind_a_resync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "JOIN_BUFFER_MAX_PUBLICATIONS", 2)
    node = UnitNode()
    node.redis.hold(PRESENCE_JOIN)
    client = send_join(node)
    client.received()
    await node.acknowledge()
    node.hub.rosters[ROOM.address].begin_delivery([publication(1), publication(2), publication(3)])
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    ok, resync, *buffered = client.received()
    assert (ok["type"], resync["type"], resync["room"]) == ("ok", "resync", "lobby")
    assert buffered == [{"number": 2}, {"number": 3}]


# ---- joined, and left


@on_manual_time
async def test_publications_buffered_during_a_join_follow_ok_without_events_of_the_snapshot() -> None:
    node = UnitNode()
    node.redis.hold(PRESENCE_JOIN)
    client = send_join(node)
    client.received()
    await node.acknowledge()
    meanwhile = [publication(1), publication(2, version=VERSION), publication(3), publication(4, version=VERSION + 1)]
    node.hub.rosters[ROOM.address].begin_delivery(meanwhile)
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert client.received() == [
        {"type": "ok", "id": 1, "room": "lobby", **PRESENCE_FIELDS, **HEAD.as_fields()},
        {"number": 1},
        {"number": 3},
        {"number": 4},
    ]


@on_manual_time
async def test_presence_is_joined_after_the_subscription_is_acknowledged() -> None:
    node = UnitNode()
    send_join(node)
    await turns()
    assert node.presence_numbers(PRESENCE_JOIN) == []
    await node.acknowledge()
    assert len(node.presence_numbers(PRESENCE_JOIN)) == 1


@on_manual_time
async def test_each_join_has_a_new_presence_number_and_is_left_with_it() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.ROOM)
    await node.acknowledge()
    for _ in range(2):
        client.send(type="leave")
        client.send(type="join")
        await turns()
    first, second, third = node.presence_numbers(PRESENCE_JOIN)
    assert first < second < third
    assert node.presence_numbers(PRESENCE_LEAVE) == [first, second]


@on_manual_time
async def test_session_of_an_agent_has_a_lease_and_no_presence() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.AGENT)
    await turns()
    await node.acknowledge()
    assert [frame["type"] for frame in client.received()] == ["welcome"]
    assert client.connection.session.joined["42"].channel.name == "42"
    client.connection.on_closed()
    await turns()
    assert (node.presence_numbers(PRESENCE_JOIN), node.presence_numbers(PRESENCE_LEAVE)) == ([], [])
    assert GENERATION in node.redis.calls[-1].words


@on_manual_time
async def test_session_that_joins_while_presence_is_restated_stays_present() -> None:
    node = UnitNode()
    resident = ClientDriver(node, session_id="resident")
    resident.send(type="join", room="kitchen")
    await node.acknowledge()
    slow, quick = ClientDriver(node, session_id="slow"), ClientDriver(node, session_id="quick")
    slow.send(type="join", room="lobby")  # waits for the link, so its presence is joined behind a later one
    quick.send(type="join", room="kitchen")
    await turns()
    node.redis.reply_with("SMEMBERS", [b"lobby"])
    node.redis.reply_with("HKEYS", [b"0", b"2"])
    node.redis.hold("SMEMBERS")
    node.presence.present.add(0, PresentSession(ROOM, UserId("bob"), "Bob"))
    restating = asyncio.create_task(node.presence.restate(ROOM.partition))
    await turns()
    await node.acknowledge()
    assert "lobby" in slow.connection.session.joined
    node.redis.answer_held("SMEMBERS")
    await restating
    assert node.presence_numbers(PRESENCE_LEAVE) == []


# ---- sessions of agents without a subscription


@pytest.mark.parametrize(("mode", "frames"), [(LimitMode.AVAILABLE, ["welcome"]), (LimitMode.STRICT, ["bye"])])
@on_manual_time
async def test_session_of_an_agent_joins_without_a_subscription_in_available_mode_alone(
    mode: LimitMode, frames: list[str]
) -> None:
    node = UnitNode(mode=mode)
    client = ClientDriver(node, Endpoint.AGENT)
    await asyncio.sleep(1.1)
    assert [frame["type"] for frame in client.received()] == frames
    assert node.subscriptions.holders(AGENT.address) == len(node.hub.rosters)


@on_manual_time
async def test_session_that_joined_without_a_subscription_releases_everything_at_its_end() -> None:
    node = UnitNode(mode=LimitMode.AVAILABLE)
    client = ClientDriver(node, Endpoint.AGENT)
    await asyncio.sleep(1.1)
    client.connection.on_closed()
    assert (node.subscriptions.holders(AGENT.address), node.hub.rosters) == (0, {})
