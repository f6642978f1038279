"""On the way into a channel: subscribed, then present, then in. Whoever turns back at any step leaves nothing."""

import asyncio
from collections.abc import Callable

import pytest
from tannoy.fanout.pubsub.subscriptions import ACKNOWLEDGE_TIMEOUT
from tannoy.fanout.scripts import PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode
from tannoy.shared.names import RoomName
from tannoy.shared.policy import LimitMode

from tests.support.clock import on_manual_time, turns
from tests.support.desk import AGENT, KEYSPACE, ROOM, Desk, House

KITCHEN = KEYSPACE.room(RoomName("kitchen"))


def numbers(house: House, script: object) -> list[int]:
    """Of the presences that were joined, or left."""
    at = 4 if script is PRESENCE_JOIN else 3
    return [int(call.words[at]) for call in house.redis.calls if call.what is script]


# ---- turning back

ARRIVALS: dict[str, Callable[[House], Desk]] = {
    "at home": lambda house: Desk(house, Endpoint.ROOM),
    "by join": lambda house: joining(house),
}
ENDS: dict[str, Callable[[Desk], None]] = {
    "gone": lambda desk: desk.connection.on_closed(),
    "closed": lambda desk: desk.connection.close(CloseCode.DRAINING),
}
every_arrival = pytest.mark.parametrize("start", ARRIVALS.values(), ids=ARRIVALS)
every_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


def joining(house: House) -> Desk:
    desk = Desk(house)
    desk.say(type="join", room="lobby", id=1)
    return desk


async def subscribing(house: House) -> None: ...


async def just_subscribed(house: House) -> None:
    await turns(1)
    house.link.acknowledge()


async def counting(house: House) -> None:
    await turns(1)
    house.link.acknowledge()
    await turns()


async def just_counted(house: House) -> None:
    await counting(house)
    house.redis.answer_held(PRESENCE_JOIN)


async def almost_in(house: House) -> None:
    await just_counted(house)
    await turns(1)


STAGES = [subscribing, just_subscribed, counting, just_counted, almost_in]


@pytest.mark.parametrize("until", STAGES, ids=lambda stage: stage.__name__)
@every_end
@every_arrival
@on_manual_time
async def test_whoever_turns_back_at_any_step_leaves_nothing(
    start: Callable[[House], Desk], end: Callable[[Desk], None], until: Callable[..., object]
) -> None:
    house = House()
    house.redis.hold(PRESENCE_JOIN)
    desk = start(house)
    stage = until(house)
    assert asyncio.iscoroutine(stage)
    await stage
    end(desk)
    await turns(1)
    house.link.acknowledge()
    await turns()
    if numbers(house, PRESENCE_JOIN) and until in (subscribing, just_subscribed, counting):
        house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert house.subscriptions.holders(ROOM.address) == 0
    assert house.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0)
    assert numbers(house, PRESENCE_JOIN) == numbers(house, PRESENCE_LEAVE)


@every_end
@every_arrival
@on_manual_time
async def test_whoever_turns_back_before_it_was_refused_leaves_nothing(
    start: Callable[[House], Desk], end: Callable[[Desk], None]
) -> None:
    house = House()
    house.redis.hold(PRESENCE_JOIN)
    desk = start(house)
    await counting(house)
    end(desk)
    house.redis.leave_unconfirmed(PRESENCE_JOIN)
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert house.subscriptions.holders(ROOM.address) == 0
    assert numbers(house, PRESENCE_JOIN) == numbers(house, PRESENCE_LEAVE)


@every_end
@on_manual_time
async def test_whoever_turns_back_before_it_was_let_in_unheard_leaves_nothing(end: Callable[[Desk], None]) -> None:
    house = House(mode=LimitMode.AVAILABLE)
    desk = Desk(house, Endpoint.AGENT)
    await turns(6)
    end(desk)
    await asyncio.sleep(1.1)
    assert (house.subscriptions.holders(AGENT.address), house.hub.rosters) == (0, {})


@every_end
@on_manual_time
async def test_session_that_ends_in_the_turn_of_a_failed_subscription_releases_it_once(
    end: Callable[[Desk], None],
) -> None:
    house = House()
    desk = joining(house)
    await turns(1)
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() + ACKNOWLEDGE_TIMEOUT + 5e-10, end, desk)  # behind the timer, in the same turn
    await asyncio.sleep(ACKNOWLEDGE_TIMEOUT + 0.1)
    assert house.subscriptions.statistics().rolled_back == 1
    assert (house.subscriptions.holders(ROOM.address), house.hub.rosters) == (0, {})
