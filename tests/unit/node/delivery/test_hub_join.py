"""Entering a room: the snapshot may come before or after what the bus says, and nobody may notice.

A newcomer gets no presence event that its snapshot holds, every later one once, and all messages since it subscribed,
in the order of the bus.
"""

import json
from itertools import product
from typing import Any

import msgpack
import pytest
from tannoy.fanout.pubsub.envelope import unpack_publication
from tannoy.node.delivery.watermark import NOTHING_SEEN, Watermark
from tannoy.node.protocols.framing import Chunk
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import LOBBY, RecordingMember, RelayDriver

Delivery = tuple[bytes, Publication]


def message(number: int, *, exclude: str = "") -> Delivery:
    whole = {"message": number}
    encoded = EncodedMessage(json.dumps(whole).encode(), msgpack.packb(whole))
    return LOBBY.address, Publication(encoded, exclude)


def event(version: int) -> Delivery:
    return LOBBY.address, unpack_publication(b"\x02" + msgpack.packb(["lobby", "count", 2000, version]))


class Door:
    """A room with newcomers at its door."""

    def __init__(self, *, slice_size: int = 4096) -> None:
        self.driver = RelayDriver(slice_size=slice_size)
        self.hub = self.driver.hub
        self.say = self.driver.relay.deliver

    def expect(self, session_id: str = "new", *, wire: WireFormat = JSON) -> RecordingMember:
        newcomer = RecordingMember(session_id, wire=wire)
        self.hub.begin_join(LOBBY, newcomer)
        return newcomer

    def admit(self, newcomer: RecordingMember, version: int) -> None:
        """As a connection does: what was kept goes out first."""
        not_seen = self.hub.complete_join(LOBBY, newcomer, Watermark(version))
        kept = newcomer.encoding.publications_for(not_seen, newcomer.outbox.session_id)
        if kept:
            newcomer.outbox.write_direct(kept)


def heard(member: RecordingMember) -> list[Any]:
    """Messages by their number, events by `v` and their version."""
    return [whole["message"] if "message" in whole else f"v{whole['version']}" for whole in member.transport.objects]


BUS: list[str | int] = ["v1", 1, "v2", 2, 3, "v3", "v4", 4]
"""What the room says, in the order of the bus."""


def delivery(item: str | int) -> Delivery:
    return message(item) if isinstance(item, int) else event(int(item[1:]))


def expected(subscribed: int, snapshot: int) -> list[Any]:
    """What is to be heard: subscribed and snapshot taken when as many items had been delivered, or published."""
    known = sum(isinstance(item, str) for item in BUS[:snapshot])
    return [item for item in BUS[subscribed:] if isinstance(item, int) or int(item[1:]) > known]


def version_at(snapshot: int) -> int:
    return sum(isinstance(item, str) for item in BUS[:snapshot])


MOMENTS = range(len(BUS) + 1)
ORDERS = [
    (subscribed, snapshot, admitted)
    for subscribed, snapshot, admitted in product(MOMENTS, MOMENTS, MOMENTS)
    if subscribed <= snapshot and subscribed <= admitted
]
"""The bus may be behind the snapshot when the newcomer is admitted, level with it, or ahead."""


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
@pytest.mark.parametrize("alone", [True, False])
def test_in_every_order_all_is_heard_once(batch: int, alone: bool) -> None:
    for subscribed, snapshot, admitted in ORDERS:
        door = Door()
        if not alone:
            door.driver.join("old")
        newcomer: RecordingMember | None = None
        moments = sorted({0, subscribed, admitted, *range(0, len(BUS) + 1, batch), len(BUS)})
        for begin, end in zip(moments, [*moments[1:], len(BUS)], strict=True):
            if begin == subscribed:
                newcomer = door.expect()
            if begin == admitted:
                assert newcomer is not None
                door.admit(newcomer, version_at(snapshot))
            door.say([delivery(item) for item in BUS[begin:end]])
        assert newcomer is not None
        assert heard(newcomer) == expected(subscribed, snapshot), (subscribed, snapshot, admitted)


@on_manual_time
async def test_in_every_order_all_is_heard_once_in_a_room_that_is_served_in_slices() -> None:
    for (subscribed, snapshot, admitted), pause in product(ORDERS, [0, 1, 2]):
        door = Door(slice_size=1)
        old = [door.driver.join(f"old{number}") for number in range(3)]
        newcomer = RecordingMember("new")
        for moment in MOMENTS:
            if moment == subscribed:
                await turns(20)  # from here on the bus is ahead of the sockets
                door.hub.begin_join(LOBBY, newcomer)
            if moment == admitted:
                door.admit(newcomer, version_at(snapshot))
            door.say([delivery(item) for item in BUS[moment : moment + 1]])
            await turns(pause)
        await turns(50)
        assert heard(newcomer) == expected(subscribed, snapshot), (subscribed, snapshot, admitted, pause)
        assert [heard(member) for member in old] == [BUS] * 3
        assert door.hub.rosters[LOBBY.address].ahead.keys() <= {newcomer.outbox}


@on_manual_time
async def test_whoever_comes_in_the_midst_of_a_sweep_does_not_get_its_batch_twice() -> None:
    door = Door(slice_size=1)
    for number in range(3):
        door.driver.join(f"old{number}")
    newcomer = door.expect()
    door.say([message(1)])  # begun: goes to the gate
    door.say([message(2)])  # waits behind the sweep
    door.admit(newcomer, 0)
    await turns(20)
    assert heard(newcomer) == [1, 2]


@on_manual_time
async def test_whoever_leaves_and_comes_back_within_a_sweep_gets_no_event_that_its_snapshot_holds() -> None:
    door = Door(slice_size=1)
    members = [door.driver.join(f"old{number}") for number in range(4)]
    door.say([event(5), event(6)])
    back = next(member for member in members if not heard(member))
    door.hub.remove(LOBBY, back)
    door.hub.begin_join(LOBBY, back)
    door.admit(back, 6)
    await turns(20)
    assert heard(back) == []
    assert door.hub.rosters[LOBBY.address].ahead == {}


# ---- who is a member


def test_a_room_with_nobody_but_newcomers_exists_and_has_no_members() -> None:
    door = Door()
    newcomer = door.expect()
    assert len(door.hub.rosters[LOBBY.address]) == 0
    assert door.hub.intern_channel(Keyspace("tannoy").room(RoomName("lobby"))) is LOBBY
    door.hub.abandon_join(LOBBY, newcomer)
    assert door.hub.rosters == {}


def test_the_last_member_does_not_take_the_room_from_the_newcomers() -> None:
    door = Door()
    member, newcomer = door.driver.join("old"), door.expect()
    assert door.hub.remove(LOBBY, member) is False
    door.say([message(1)])
    door.admit(newcomer, 0)
    assert heard(newcomer) == [1]
    assert door.hub.remove(LOBBY, newcomer) is True


def test_a_newcomer_hears_nothing_before_it_is_admitted_and_nothing_after_it_was_dismissed() -> None:
    door = Door()
    door.driver.join("old")
    admitted, dismissed = door.expect("admitted"), door.expect("dismissed", wire=MSGPACK)
    door.say([message(1)])
    assert (heard(admitted), heard(dismissed)) == ([], [])
    door.hub.abandon_join(LOBBY, dismissed)
    door.admit(admitted, 0)
    door.say([message(2)])
    assert (heard(admitted), heard(dismissed)) == ([1, 2], [])


def test_whoever_does_not_wait_can_be_neither_admitted_nor_dismissed() -> None:
    door = Door()
    member = door.driver.join("old")
    with pytest.raises(KeyError):
        door.hub.complete_join(LOBBY, member, NOTHING_SEEN)
    with pytest.raises(KeyError):
        door.hub.abandon_join(LOBBY, member)


def test_what_excludes_the_newcomer_is_not_for_it() -> None:
    door = Door()
    newcomer = door.expect("new", wire=MSGPACK)
    door.say([message(1), message(2, exclude="new"), message(3, exclude="other")])
    door.admit(newcomer, 0)
    assert heard(newcomer) == [1, 3]


def test_exclusion_and_the_unseen_meet_in_one_batch() -> None:
    door = Door()
    member, newcomer = door.driver.join("old"), door.expect()
    door.admit(newcomer, 7)
    door.say([event(7), message(1, exclude="new"), message(2, exclude="old"), event(8)])
    assert heard(newcomer) == [2, "v8"]
    assert heard(member) == ["v7", 1, "v8"]


# ---- what is remembered


def test_a_snapshot_ahead_of_the_bus_is_remembered_until_the_bus_has_caught_up() -> None:
    door = Door()
    newcomer = door.expect()
    roster = door.hub.rosters[LOBBY.address]
    door.admit(newcomer, 7)
    assert roster.ahead == {newcomer.outbox: Watermark(7)}
    door.say([event(6), message(1)])
    assert roster.ahead == {newcomer.outbox: Watermark(7)}
    door.say([event(7)])
    assert roster.ahead == {}
    assert heard(newcomer) == [1]


def test_a_snapshot_that_the_bus_has_passed_is_not_remembered() -> None:
    door = Door()
    newcomer = door.expect()
    door.say([event(7), event(8)])
    door.admit(newcomer, 7)
    assert door.hub.rosters[LOBBY.address].ahead == {}
    assert heard(newcomer) == ["v8"]


def test_nothing_is_remembered_of_who_has_left() -> None:
    door = Door()
    member, newcomer = door.driver.join("old"), door.expect()
    door.admit(newcomer, 7)
    door.hub.remove(LOBBY, newcomer)
    assert door.hub.rosters[LOBBY.address].ahead == {}
    door.say([event(7)])
    assert (heard(member), heard(newcomer)) == (["v7"], [])


def test_messages_are_written_alike_to_all_others_while_somebodys_snapshot_is_ahead() -> None:
    door = Door()
    members = [door.driver.join(f"old{number}") for number in range(3)]
    newcomer = door.expect()
    door.admit(newcomer, 7)
    written: list[Chunk] = []
    for member in (*members, newcomer):
        member.outbox.write = written.append
    door.say([message(1)])
    assert len(written) == 4
    assert len(set(written)) == 1
    assert len({id(frames) for frames in written}) <= 2


# ---- the bounds of a gate
