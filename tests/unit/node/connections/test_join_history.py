"""On the way into a channel with history: at which place a session begins to hear, and what it has missed."""

import asyncio
from collections.abc import Callable

import pytest
from tannoy.fanout.scripts import HISTORY_READ, PRESENCE_JOIN, PRESENCE_LEAVE
from tannoy.node.delivery import roster as roster_module
from tannoy.node.delivery.hub import HubStatistics
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CloseCode
from tannoy.shared.policy import LimitMode
from tannoy.shared.publication import Position

from tests.support.clock import on_manual_time, turns
from tests.support.desk import AGENT, HEAD, ROOM, Desk, House
from tests.support.scripted_history import EPOCH, message_envelope, message_frame
from tests.unit.node.connections.test_connection import in_room
from tests.unit.node.connections.test_join import ARRIVALS, joining, numbers

PLACE = HEAD.as_fields()


async def arrived(desk: Desk) -> list[dict[str, object]]:
    """What it has heard once Redis has acknowledged and answered."""
    await turns()
    desk.house.link.acknowledge()
    await turns()
    return desk.heard()


def place_of(frame: dict[str, object]) -> dict[str, object]:
    return {name: frame[name] for name in ("epoch", "offset", "recovered") if name in frame}


# ---- the place


@pytest.mark.parametrize("endpoint", [Endpoint.ROOM, Endpoint.AGENT])
@on_manual_time
async def test_welcome_tells_the_head_and_what_is_said_from_then_on_is_heard(endpoint: Endpoint) -> None:
    house = House()
    desk = Desk(house, endpoint)
    (welcome,) = await arrived(desk)
    assert place_of(welcome) == PLACE
    house.bring(ROOM if endpoint is Endpoint.ROOM else AGENT, 41, 42)
    assert desk.heard() == [message_frame(41), message_frame(42)]


@on_manual_time
async def test_the_place_is_asked_for_only_once_the_room_is_heard() -> None:
    house = House()
    Desk(house, Endpoint.ROOM)
    await turns()
    assert house.past.calls == []
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert len(house.past.arguments_of(HISTORY_READ)) == 1


@on_manual_time
async def test_presence_is_asked_for_only_once_the_place_is_known() -> None:
    house = House()
    house.past.hold(HISTORY_READ)
    joining(house)
    await turns(1)
    house.link.acknowledge()
    await turns()
    assert numbers(house, PRESENCE_JOIN) == []
    house.past.answer_held(HISTORY_READ)
    await turns()
    assert len(numbers(house, PRESENCE_JOIN)) == 1


@on_manual_time
async def test_the_second_one_is_told_the_place_of_the_node_without_asking() -> None:
    house = House()
    await in_room(house)
    house.bring(ROOM, 41, 42)
    (welcome,) = await arrived(Desk(house, Endpoint.ROOM, session_id="s2"))
    assert place_of(welcome) == {"epoch": EPOCH, "offset": 42}
    assert len(house.past.arguments_of(HISTORY_READ)) == 1


@on_manual_time
async def test_two_who_ask_at_once_begin_at_the_same_place() -> None:
    house = House()
    first, second = Desk(house, Endpoint.ROOM), Desk(house, Endpoint.ROOM, session_id="s2")
    (welcome,) = await arrived(first)
    assert place_of(welcome) == place_of(second.heard()[0]) == PLACE
    house.bring(ROOM, 41)
    assert first.heard() == second.heard() == [message_frame(41)]


@on_manual_time
async def test_of_what_comes_before_the_place_is_known_only_what_is_behind_it_is_heard() -> None:
    house = House()
    house.past.hold(HISTORY_READ)
    desk = Desk(house, Endpoint.ROOM)
    await turns(1)
    house.link.acknowledge()
    await turns()
    house.bring(ROOM, 39, 40, 41)
    house.bring(ROOM, 42)
    house.past.answer_held(HISTORY_READ)
    await turns()
    welcome, *heard = desk.heard()
    assert (place_of(welcome), heard) == (PLACE, [message_frame(41), message_frame(42)])


@on_manual_time
async def test_a_channel_that_has_never_said_anything_is_before_its_first_message() -> None:
    house = House()
    house.past.log_of(ROOM).head = None
    desk = Desk(house, Endpoint.ROOM)
    (welcome,) = await arrived(desk)
    assert place_of(welcome) == {"epoch": house.past.next_epoch, "offset": 0}
    house.bring(ROOM, 1, epoch=house.past.next_epoch)
    assert desk.heard() == [message_frame(1)]


@pytest.mark.parametrize("recover", [None, HEAD])
@on_manual_time
async def test_where_nothing_is_kept_there_is_no_place(recover: Position | None) -> None:
    house = House(history_size=0)
    desk = Desk(house, Endpoint.ROOM, recover=recover)
    (welcome,) = await arrived(desk)
    assert place_of(welcome) == ({} if recover is None else {"recovered": False})
    assert house.past.calls == []
    house.tracker.deliver_batch([(ROOM.address, message_envelope())])
    assert desk.heard() == [{"type": "message"}]


# ---- turning back

ALL_ARRIVALS: dict[str, Callable[[House], Desk]] = {
    **ARRIVALS,
    "with recover": lambda house: Desk(house, Endpoint.ROOM, recover=Position(EPOCH, 39)),
}


@pytest.mark.parametrize("recover", [None, Position(EPOCH, 39)])
@on_manual_time
async def test_without_a_place_a_join_is_unavailable_and_the_session_lives(recover: Position | None) -> None:
    house = House()
    house.past.leave_unconfirmed(HISTORY_READ)
    desk = Desk(house)
    desk.heard()
    desk.say(type="join", room="lobby", id=1, **({} if recover is None else {"recover": recover.as_fields()}))
    assert [(frame["id"], frame["code"]) for frame in await arrived(desk)] == [(1, "unavailable")]
    assert (house.subscriptions.holders(ROOM.address), house.hub.rosters) == (0, {})
    assert numbers(house, PRESENCE_JOIN) == []
    desk.say(type="ping", id=2)
    assert desk.heard() == [{"type": "pong", "id": 2}]


@on_manual_time
async def test_without_a_place_nobody_gets_home_and_is_asked_to_come_back() -> None:
    house = House()
    house.past.leave_unconfirmed(HISTORY_READ)
    heard = await arrived(Desk(house, Endpoint.ROOM))
    assert [(frame["type"], frame["code"]) for frame in heard] == [("bye", 1013)]


@pytest.mark.parametrize("answered", [0, 1, 2, 3, 4], ids="{} turns after the answer".format)
@pytest.mark.parametrize("start", ALL_ARRIVALS.values(), ids=ALL_ARRIVALS)
@on_manual_time
async def test_whoever_turns_back_while_its_place_is_looked_for_leaves_nothing(
    start: Callable[[House], Desk], answered: int
) -> None:
    house = House()
    house.past.hold(HISTORY_READ)
    desk = start(house)
    await turns(1)
    house.link.acknowledge()
    await turns()
    if answered:
        house.past.answer_held(HISTORY_READ)
        await turns(answered)
    desk.connection.close(CloseCode.DRAINING)
    await turns()
    if not answered:
        house.past.answer_held(HISTORY_READ)
    await turns()
    assert house.subscriptions.holders(ROOM.address) == 0
    assert house.hub.statistics() == HubStatistics(sessions=0, users=0, channels=0)
    assert numbers(house, PRESENCE_JOIN) == numbers(house, PRESENCE_LEAVE)


@on_manual_time
async def test_a_channel_that_nobody_hears_any_more_is_not_followed() -> None:
    house = House()
    desk = await in_room(house)
    desk.connection.close(CloseCode.DRAINING)
    await asyncio.sleep(2)
    assert house.tracker.position(ROOM) is None


# ---- too much said meanwhile


@on_manual_time
async def test_behind_too_much_said_meanwhile_a_resync_tells_where_the_rest_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roster_module, "JOIN_BUFFER_MAX_PUBLICATIONS", 2)
    house = House()
    await in_room(house)
    house.redis.hold(PRESENCE_JOIN)
    desk = Desk(house, Endpoint.ROOM, session_id="s2")
    await turns()
    house.bring(ROOM, 41, 42, 43, 44)
    house.redis.answer_held(PRESENCE_JOIN)
    await turns()
    welcome, resync, *rest = desk.heard()
    assert place_of(welcome) == PLACE
    assert (resync["type"], place_of(resync)) == ("resync", {"epoch": EPOCH, "offset": 42})
    assert rest == [message_frame(43), message_frame(44)]


# ---- while Redis is away


@pytest.mark.parametrize(("recover", "told"), [(None, {}), (HEAD, {"recovered": False})])
@on_manual_time
async def test_an_agents_session_that_is_let_in_unheard_is_told_its_place_later(
    recover: Position | None, told: dict[str, object]
) -> None:
    house = House(mode=LimitMode.AVAILABLE)
    desk = Desk(house, Endpoint.AGENT, recover=recover)
    await asyncio.sleep(1.1)
    (welcome,) = desk.heard()
    assert place_of(welcome) == told
    house.tracker.start_at(AGENT, HEAD)
    assert [(frame["type"], place_of(frame)) for frame in desk.heard()] == [("resync", PLACE)]
    house.bring(AGENT, 41)
    assert desk.heard() == [message_frame(41)]
