"""Once the room is heard: counted and in, or refused; and an agent's session, which is not counted here."""

import asyncio

import pytest
from tannoy.fanout.scripts import PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.delivery import roster as roster_module
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.names import UserId
from tannoy.shared.policy import LimitMode
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.clock import on_manual_time, turns
from tests.support.desk import AGENT, GENERATION, HEAD, ROLL, ROOM, VERSION, Desk, House
from tests.unit.node.connections.test_join import counting, joining, numbers


def said(number: int, version: int = 0) -> Publication:
    return Publication(EncodedMessage(b'{"number":%d}' % number, b""), version=version)


# ---- refused


@pytest.mark.parametrize("why", ["redis does not confirm", "the heartbeat has run out"])
@on_manual_time
async def test_without_presence_a_join_is_unavailable_and_the_session_lives(why: str) -> None:
    house = House()
    if "redis" in why:
        house.redis.leave_unconfirmed(PRESENCE_JOIN)
    house.redis.reply_with(PRESENCE_JOIN, None)
    desk = joining(house)
    desk.heard()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [(frame["id"], frame["code"]) for frame in desk.heard()] == [(1, "unavailable")]
    assert (house.subscriptions.holders(ROOM.address), house.hub.rosters) == (0, {})
    desk.say(type="ping", id=2)
    assert desk.heard() == [{"type": "pong", "id": 2}]


@on_manual_time
async def test_a_join_that_was_not_confirmed_is_taken_back_in_case_it_was_carried_out() -> None:
    house = House()
    house.redis.leave_unconfirmed(PRESENCE_JOIN)
    joining(house)
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert numbers(house, PRESENCE_JOIN) == numbers(house, PRESENCE_LEAVE) != []


@on_manual_time
async def test_without_presence_nobody_gets_home_and_is_asked_to_come_back() -> None:
    house = House()
    house.redis.leave_unconfirmed(PRESENCE_JOIN)
    desk = Desk(house, Endpoint.ROOM)
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [(frame["type"], frame["code"]) for frame in desk.heard()] == [("bye", 1013)]
    assert house.subscriptions.holders(ROOM.address) == 0


@on_manual_time
async def test_of_too_much_said_meanwhile_the_rest_comes_with_a_resync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "JOIN_BUFFER_MAX_PUBLICATIONS", 2)
    house = House()
    house.redis.hold(PRESENCE_JOIN)
    desk = joining(house)
    desk.heard()
    await counting(house)
    house.hub.rosters[ROOM.address].begin_delivery([said(1), said(2), said(3)])
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    ok, resync, *kept = desk.heard()
    assert (ok["type"], resync["type"], resync["room"]) == ("ok", "resync", "lobby")
    assert kept == [{"number": 2}, {"number": 3}]


# ---- in, and out again


@on_manual_time
async def test_what_was_said_meanwhile_comes_behind_the_answer_without_what_its_snapshot_holds() -> None:
    house = House()
    house.redis.hold(PRESENCE_JOIN)
    desk = joining(house)
    desk.heard()
    await counting(house)
    meanwhile = [said(1), said(2, version=VERSION), said(3), said(4, version=VERSION + 1)]
    house.hub.rosters[ROOM.address].begin_delivery(meanwhile)
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    assert desk.heard() == [
        {"type": "ok", "id": 1, "room": "lobby", **ROLL, **HEAD.as_fields()},
        {"number": 1},
        {"number": 3},
        {"number": 4},
    ]


@on_manual_time
async def test_presence_is_asked_for_only_once_the_room_is_heard() -> None:
    house = House()
    joining(house)
    await turns()
    assert numbers(house, PRESENCE_JOIN) == []
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert len(numbers(house, PRESENCE_JOIN)) == 1


@on_manual_time
async def test_each_stay_has_a_number_of_its_own_and_leaves_under_it() -> None:
    house = House()
    desk = Desk(house, Endpoint.ROOM)
    await turns(1)
    house.link.acknowledge()
    await turns()
    for _ in range(2):
        desk.say(type="leave")
        desk.say(type="join")
        await turns()
    first, second, third = numbers(house, PRESENCE_JOIN)
    assert first < second < third
    assert numbers(house, PRESENCE_LEAVE) == [first, second]


@on_manual_time
async def test_an_agents_session_is_counted_by_its_place_and_not_by_presence() -> None:
    house = House()
    desk = Desk(house, Endpoint.AGENT)
    await turns()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert [frame["type"] for frame in desk.heard()] == ["welcome"]
    assert desk.connection.session.joined["42"].channel.name == "42"
    desk.connection.on_closed()
    assert (numbers(house, PRESENCE_JOIN), numbers(house, PRESENCE_LEAVE)) == ([], [])
    assert GENERATION in house.redis.calls[-1].words


@on_manual_time
async def test_whoever_joins_while_presence_is_restated_stays_in() -> None:
    house = House()
    resident = Desk(house, session_id="resident")
    resident.say(type="join", room="kitchen")
    await turns(1)
    house.link.acknowledge()
    await turns()
    slow, quick = Desk(house, session_id="slow"), Desk(house, session_id="quick")
    slow.say(type="join", room="lobby")  # waits for the link, so it is counted behind one that came later
    quick.say(type="join", room="kitchen")
    await turns()
    house.redis.reply_with("SMEMBERS", [b"lobby"])
    house.redis.reply_with("HKEYS", [b"0", b"2"])
    house.redis.hold("SMEMBERS")
    here = {ROOM: {0: (UserId("bob"), "Bob")}}
    restating = asyncio.create_task(house.presence.restate(ROOM.partition, here))
    await turns()
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert "lobby" in slow.connection.session.joined
    house.redis.answer_held("SMEMBERS")
    await restating
    assert numbers(house, PRESENCE_LEAVE) == []


# ---- an agent's session


@pytest.mark.parametrize(("mode", "frames"), [(LimitMode.AVAILABLE, ["welcome"]), (LimitMode.STRICT, ["bye"])])
@on_manual_time
async def test_while_the_bus_is_silent_an_agents_session_is_let_in_in_available_mode_alone(
    mode: LimitMode, frames: list[str]
) -> None:
    house = House(mode=mode)
    desk = Desk(house, Endpoint.AGENT)
    await asyncio.sleep(1.1)
    assert [frame["type"] for frame in desk.heard()] == frames
    assert house.subscriptions.holders(AGENT.address) == len(house.hub.rosters)


@on_manual_time
async def test_whoever_was_let_in_unheard_gives_back_what_it_holds() -> None:
    house = House(mode=LimitMode.AVAILABLE)
    desk = Desk(house, Endpoint.AGENT)
    await asyncio.sleep(1.1)
    desk.connection.on_closed()
    assert (house.subscriptions.holders(AGENT.address), house.hub.rosters) == (0, {})
