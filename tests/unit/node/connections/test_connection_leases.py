"""A connection that needs a lease: nothing is sent before it is acquired, and its end releases it."""

import asyncio

import pytest
from tannoy.fanout.control.requests import Evict
from tannoy.fanout.leases.acquirer import ASK_AGAIN_SECONDS
from tannoy.fanout.script_batches import HOLD_SECONDS
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode

from tests.support.client_driver import ClientDriver, connect_to_agent
from tests.support.clock import loop_errors, on_manual_time, turns
from tests.support.unit_node import GENERATION, OWNER, UnitNode

HELD = [b"held", GENERATION]


def connect_without_reply(node: UnitNode) -> ClientDriver:
    """Return a client of an agent for whose lease the reply of Redis is held."""
    node.redis.hold(LEASE_ACQUIRE)
    return ClientDriver(node, Endpoint.AGENT)


# ---- until the lease is acquired


@on_manual_time
async def test_handshake_is_answered_at_once_and_welcome_is_sent_after_the_lease_is_acquired() -> None:
    node = UnitNode()
    node.redis.hold(LEASE_ACQUIRE)
    client = ClientDriver(node, Endpoint.AGENT, opening=b"HTTP/1.1 101")
    await turns(6)
    await turns(1)
    node.link.acknowledge()
    assert client.transport.writes == [b"HTTP/1.1 101"]
    client.transport.writes.clear()
    node.redis.answer_held(LEASE_ACQUIRE)
    await turns()
    await node.acknowledge()
    assert [frame["type"] for frame in client.received()] == ["welcome"]


@on_manual_time
async def test_agent_is_not_subscribed_to_before_the_lease_is_acquired() -> None:
    node = UnitNode()
    connect_without_reply(node)
    await turns()
    assert (node.link.acknowledge(), node.hub.rosters) == ([], {})


@on_manual_time
async def test_commands_received_before_welcome_are_handled_after_it() -> None:
    node = UnitNode()
    client = connect_without_reply(node)
    client.send(type="ping", id=1)
    await turns()
    node.redis.answer_held(LEASE_ACQUIRE)
    await turns()
    await node.acknowledge()
    assert [frame["type"] for frame in client.received()] == ["welcome", "pong"]


@on_manual_time
async def test_nothing_is_sent_while_the_lease_is_being_acquired() -> None:
    node = UnitNode()
    client = connect_without_reply(node)
    await asyncio.sleep(9)
    assert (client.received(), client.transport.closed_with) == ([], None)


@on_manual_time
async def test_session_over_the_limit_is_sent_bye_alone_with_retry_after() -> None:
    node = UnitNode()
    node.redis.reply_with(LEASE_ACQUIRE, [b"full", 10, 10])
    client = ClientDriver(node, Endpoint.AGENT)
    await turns(6)
    (bye,) = client.received()
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", 1013, True)
    assert 1 <= bye["retry_after"] <= 2
    assert node.remembered_disconnects() == [(1013, "agent_max_sessions", 10)] * 2  # for the agent, and for the user
    assert node.released_leases() == []


@on_manual_time
async def test_retry_after_of_refused_sessions_is_spread() -> None:
    node = UnitNode()
    node.redis.reply_with(LEASE_ACQUIRE, [b"full", 10, 10])
    clients = [ClientDriver(node, Endpoint.AGENT, session_id=f"s{number}") for number in range(20)]
    await turns(6)
    assert len({client.received()[0]["retry_after"] for client in clients}) > 5


@on_manual_time
async def test_session_whose_lease_redis_does_not_confirm_is_closed_with_try_again_later() -> None:
    node = UnitNode()
    node.redis.leave_unconfirmed(LEASE_ACQUIRE)
    client = ClientDriver(node, Endpoint.AGENT)
    await turns(6)
    assert [(frame["type"], frame["code"]) for frame in client.received()] == [("bye", 1013)]
    assert {rule for _, rule, _ in node.remembered_disconnects()} == {"bus"}


@on_manual_time
async def test_malformed_reply_of_redis_closes_the_session_with_internal_error_and_is_logged() -> None:
    node = UnitNode()
    node.redis.reply_with(LEASE_ACQUIRE, [b"full", b"many", 10])
    client = ClientDriver(node, Endpoint.AGENT)
    await turns(6)
    assert [frame["code"] for frame in client.received()] == [1011]
    assert isinstance(loop_errors().pop()["exception"], ValueError)


# ---- ends before the lease is acquired


@on_manual_time
async def test_session_evicted_before_welcome_is_sent_bye_alone_and_releases_its_lease() -> None:
    node = UnitNode()
    client = connect_without_reply(node)
    await turns()
    node.leases.handle_notice(Evict(OWNER, "me|1|s1", CloseCode.EVICTED, 10, "s2"))
    await asyncio.sleep(HOLD_SECONDS * 1.5)
    assert [(frame["type"], frame["code"]) for frame in client.received()] == [("bye", 4500)]
    assert (node.released_leases(), node.leases.statistics().known) == ([b"me|1|s1"], 0)
    assert node.remembered_disconnects()[0] == (4500, "agent_max_sessions", 10)


@pytest.mark.parametrize("ready", [False, True], ids=["before the answer", "behind the answer"])
@on_manual_time
async def test_session_that_disconnects_before_welcome_releases_its_lease(ready: bool) -> None:
    node = UnitNode()
    client = connect_without_reply(node)
    await turns()
    if ready:
        node.redis.answer_held(LEASE_ACQUIRE)
        await turns(1)
    client.connection.on_closed()
    await asyncio.sleep(HOLD_SECONDS * 1.5)
    assert (node.released_leases(), node.leases.statistics().known) == ([b"me|1|s1"], 0)
    assert node.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0, rooms=0)
    assert node.counters.open == 0


@on_manual_time
async def test_session_that_disconnects_between_its_two_leases_releases_both() -> None:
    node = UnitNode(user_max_sessions=3)
    client = ClientDriver(node, Endpoint.AGENT)
    await turns(2)
    node.redis.hold(LEASE_ACQUIRE)
    await turns(4)
    client.connection.on_closed()
    await asyncio.sleep(HOLD_SECONDS * 1.5)
    assert sorted(node.released_leases()) == [b"me|1|42/s1", b"me|2|s1"]


# ---- the release of the lease


@on_manual_time
async def test_lease_is_released_once_and_only_after_the_close_frame_is_sent() -> None:
    node = UnitNode()
    client = ClientDriver(node, Endpoint.AGENT, hands_over=False)
    await turns(6)
    client.connection.close(CloseCode.EVICTED)
    await turns()
    assert node.released_leases() == []
    client.transport.hand_over()
    await turns()
    assert node.released_leases() == [b"me|1|s1"]
    client.connection.on_closed()
    await turns()
    assert node.released_leases() == [b"me|1|s1"]


@on_manual_time
async def test_lease_of_a_disconnected_client_is_released_at_once() -> None:
    node = UnitNode()
    client = await connect_to_agent(node)
    client.connection.on_closed()
    await turns()
    assert node.released_leases() == [b"me|1|s1"]


@on_manual_time
async def test_reconnected_session_acquires_the_lease_after_the_old_connection_is_closed() -> None:
    node = UnitNode()
    old = await connect_to_agent(node)
    node.redis.reply_with(LEASE_ACQUIRE, [b"wait", b"me|1|s1", b"", 10, 10], HELD)
    node.redis.reply_with(LEASE_RELEASE, b"me|2|s1")
    before = node.clock.monotonic()
    new = ClientDriver(node, Endpoint.AGENT)
    await turns(24)
    assert node.clock.monotonic() - before < ASK_AGAIN_SECONDS
    assert [(frame["type"], frame["code"]) for frame in old.received()] == [("bye", 4506)]
    assert [frame["type"] for frame in new.received()] == ["welcome"]
