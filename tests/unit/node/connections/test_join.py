"""A join: subscribe, become present, become a member. One that is cancelled at any step leaves nothing."""

import asyncio
from collections.abc import Callable

import pytest
from tannoy.fanout.pubsub.subscriptions import ACKNOWLEDGE_TIMEOUT
from tannoy.fanout.scripts import PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode
from tannoy.shared.policy import LimitMode

from tests.support.client_driver import JOINS, ClientDriver, send_join
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import AGENT, ROOM, UnitNode

# ---- ends during a join

ENDS: dict[str, Callable[[ClientDriver], None]] = {
    "disconnected": lambda client: client.connection.on_closed(),
    "closed": lambda client: client.connection.close(CloseCode.DRAINING),
}
every_join = pytest.mark.parametrize("start", JOINS.values(), ids=JOINS)
every_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


async def subscribing(node: UnitNode) -> None:
    """The subscription is not acknowledged yet."""


async def subscription_acknowledged(node: UnitNode) -> None:
    await turns(1)
    node.link.acknowledge()


async def joining_presence(node: UnitNode) -> None:
    await node.acknowledge()


async def presence_confirmed(node: UnitNode) -> None:
    await node.acknowledge()
    node.redis.answer_held(PRESENCE_JOIN)


async def completing(node: UnitNode) -> None:
    await presence_confirmed(node)
    await turns(1)


STAGES = [subscribing, subscription_acknowledged, joining_presence, presence_confirmed, completing]


@pytest.mark.parametrize("until", STAGES, ids=lambda stage: stage.__name__)
@every_end
@every_join
@on_manual_time
async def test_session_that_ends_at_any_step_of_its_join_leaves_nothing(
    start: Callable[[UnitNode], ClientDriver], end: Callable[[ClientDriver], None], until: Callable[..., object]
) -> None:
    node = UnitNode()
    node.redis.hold(PRESENCE_JOIN)
    client = start(node)
    stage = until(node)
    assert asyncio.iscoroutine(stage)
    await stage
    end(client)
    await node.acknowledge()
    if node.presence_numbers(PRESENCE_JOIN) and until in (subscribing, subscription_acknowledged, joining_presence):
        node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert node.subscriptions.holders(ROOM.address) == 0
    assert node.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0, rooms=0)
    assert node.presence_numbers(PRESENCE_JOIN) == node.presence_numbers(PRESENCE_LEAVE)


@every_end
@every_join
@on_manual_time
async def test_session_that_ends_before_its_presence_fails_leaves_nothing(
    start: Callable[[UnitNode], ClientDriver], end: Callable[[ClientDriver], None]
) -> None:
    node = UnitNode()
    node.redis.hold(PRESENCE_JOIN)
    client = start(node)
    await node.acknowledge()
    end(client)
    node.redis.leave_unconfirmed(PRESENCE_JOIN)
    node.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert node.subscriptions.holders(ROOM.address) == 0
    assert node.presence_numbers(PRESENCE_JOIN) == node.presence_numbers(PRESENCE_LEAVE)


@every_end
@on_manual_time
async def test_session_that_ends_before_it_joins_without_a_subscription_leaves_nothing(
    end: Callable[[ClientDriver], None],
) -> None:
    node = UnitNode(mode=LimitMode.AVAILABLE)
    client = ClientDriver(node, Endpoint.AGENT)
    await turns(6)
    end(client)
    await asyncio.sleep(1.1)
    assert (node.subscriptions.holders(AGENT.address), node.hub.rosters) == (0, {})


@every_end
@on_manual_time
async def test_session_that_ends_in_the_turn_of_a_failed_subscription_releases_it_once(
    end: Callable[[ClientDriver], None],
) -> None:
    node = UnitNode()
    client = send_join(node)
    await turns(1)
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() + ACKNOWLEDGE_TIMEOUT + 5e-10, end, client)  # behind the timer, in the same turn
    await asyncio.sleep(ACKNOWLEDGE_TIMEOUT + 0.1)
    assert node.subscriptions.statistics().rolled_back == 1
    assert (node.subscriptions.holders(ROOM.address), node.hub.rosters) == (0, {})
