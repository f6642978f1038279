"""Entering a channel with history, in every order: whatever is faster, all is heard once, and no hole is silent."""

from itertools import product

import pytest
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.publication import Position

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import LOBBY, RecordingMember
from tests.support.scripted_history import EPOCH, message_payload
from tests.unit.node.delivery.test_hub_join_history import Door, Heard, heard, objects

BUS: list[int | str] = ["v1", 1, 2, "v2", 3]
"""What the room says, in the order of the bus."""
MOMENTS = range(len(BUS) + 1)
ORDERS = [
    order
    for order in product(MOMENTS, MOMENTS, MOMENTS, MOMENTS, MOMENTS)
    if order[0] <= min(order[1:]) and order[3] <= order[4]
]
"""Moments of a newcomer: subscribed; its head and its snapshot taken, when as much had been published; placed and
admitted, when as much had been delivered here. The bus may be behind the head and the snapshot, or ahead."""


def of(kind: type, items: Heard) -> Heard:
    return [item for item in items if isinstance(item, kind)]


def last(kind: type, moment: int) -> int:
    """The last offset, or version, up to then."""
    return len(of(kind, BUS[:moment]))


def expected(subscribed: int, head: int, snapshot: int) -> Heard:
    """What is to be heard behind the welcome."""
    versions = [f"v{version}" for version in range(1, last(str, snapshot) + 1)]
    offsets = range(1, last(int, head) + 1)
    return [item for item in BUS[subscribed:] if item not in versions and item not in offsets]


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("alone", [True, False])
@on_manual_time
async def test_in_every_order_all_is_heard_once(batch: int, alone: bool) -> None:
    for subscribed, head, snapshot, placed, admitted in ORDERS:
        door = Door()
        old = None if alone else door.join("old")
        newcomer: RecordingMember | None = None
        moments = sorted({0, subscribed, placed, admitted, *range(0, len(BUS) + 1, batch), len(BUS)})
        for begin, end in zip(moments, [*moments[1:], len(BUS)], strict=True):
            if begin == subscribed:
                newcomer = door.expect()
            if begin == placed:
                door.place(last(int, head))
            if begin == admitted:
                assert newcomer is not None
                door.admit(newcomer, last(int, head), last(str, snapshot))
            door.bring(*(BUS[begin:end] if begin >= subscribed or not alone else ()))
        order = (subscribed, head, snapshot, placed, admitted)
        assert newcomer is not None
        assert of(str, heard(newcomer)) == of(str, expected(subscribed, head, snapshot)), order
        assert of(int, heard(newcomer)) == of(int, expected(subscribed, head, snapshot)), order
        # While nobody knows the place of a message it waits, and events need not.
        assert old is None or heard(newcomer) == expected(subscribed, head, snapshot), order
        assert old is None or heard(old) == BUS, order


@on_manual_time
async def test_in_every_order_all_is_heard_once_in_a_room_that_is_served_in_slices() -> None:
    for (subscribed, head, snapshot, placed, admitted), pause in product(ORDERS, [0, 2]):
        if placed != admitted:
            continue
        door = Door(slice_size=1)
        old = [door.join(f"old{number}") for number in range(3)]
        newcomer = RecordingMember("new")
        for moment in MOMENTS:
            if moment == subscribed:
                door.hub.begin_join(LOBBY, newcomer)
            if moment == admitted:
                door.admit(newcomer, last(int, head), last(str, snapshot))
            door.bring(*BUS[moment : moment + 1])
            await turns(pause)
        await turns(40)
        order = (subscribed, head, snapshot, admitted, pause)
        assert heard(newcomer) == expected(subscribed, head, snapshot), order
        assert [heard(member) for member in old] == [BUS] * 3, order


NEXT = "life-2"
TWO_EPOCHS = [Position(EPOCH, 1), Position(EPOCH, 2), Position(NEXT, 1), Position(NEXT, 2), Position(NEXT, 3)]
"""What the room says, in the order of the bus, while an epoch ends."""


@pytest.mark.parametrize("slice_size", [1, 100])
@on_manual_time
async def test_in_every_order_an_epoch_that_ends_leaves_no_silent_hole(slice_size: int) -> None:
    moments = range(len(TWO_EPOCHS) + 1)
    for subscribed, head, admitted, pause in product(moments, moments, moments, [0, 3]):
        if subscribed > min(head, admitted):
            continue
        door = Door(slice_size=slice_size)
        old = [door.join(f"old{number}") for number in range(2)]
        place = Position(EPOCH, 0) if head == 0 else TWO_EPOCHS[head - 1]
        newcomer = RecordingMember("new")
        for moment in moments:
            if moment == subscribed:
                door.hub.begin_join(LOBBY, newcomer)
            if moment == admitted:
                kept = door.hub.complete_join(LOBBY, newcomer, Watermark(0, *place), door.tracker.position(LOBBY))
                newcomer.outbox.write(newcomer.encoding.publications_for(kept, "new"))
            for epoch, offset in TWO_EPOCHS[moment : moment + 1]:
                door.tracker.deliver_batch([(LOBBY.address, message_payload(offset, epoch))])
            await turns(pause)
        await turns(40)
        assert led_to(newcomer, place) == TWO_EPOCHS[-1], (subscribed, head, admitted, pause)
        assert [led_to(member, Position(EPOCH, 0)) for member in old] == [TWO_EPOCHS[-1]] * 2


def led_to(member: RecordingMember, place: Position) -> Position:
    """Where a client is that was told `place` first: message by message, or by a word that some may be missing."""
    for whole in objects(member):
        if whole["type"] == "resync":
            place = Position(whole["epoch"], whole["offset"])
        else:
            assert whole["offset"] == place.offset + 1, objects(member)
            place = Position(place.epoch, whole["offset"])
    return place
