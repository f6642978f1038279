"""Joining a channel with history, in every order of the steps: each event is received once, and each hole announced."""

from itertools import product

import pytest
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.publication import Position

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import LOBBY, RecordingMember
from tests.support.scripted_history import EPOCH, message_payload
from tests.support.tracked_room import Received, TrackedRoomDriver, objects, received

BUS: list[int | str] = ["v1", 1, 2, "v2", 3]
"""The events of the room, in the order of the bus."""
MOMENTS = range(len(BUS) + 1)
ORDERS = [
    order
    for order in product(MOMENTS, MOMENTS, MOMENTS, MOMENTS, MOMENTS)
    if order[0] <= min(order[1:]) and order[3] <= order[4]
]
"""Steps of a join: (subscribed, head, snapshot, tracked, completed). Head and snapshot are read when as many events had
been published; the other steps are done when as many had been delivered here. The bus may be behind them, or ahead."""


def of(kind: type, items: Received) -> Received:
    return [item for item in items if isinstance(item, kind)]


def last(kind: type, moment: int) -> int:
    """Return the last offset, or version, up to then."""
    return len(of(kind, BUS[:moment]))


def expected(subscribed: int, head: int, snapshot: int) -> Received:
    """Return what a newcomer must receive behind `welcome`."""
    versions = [f"v{version}" for version in range(1, last(str, snapshot) + 1)]
    offsets = range(1, last(int, head) + 1)
    return [item for item in BUS[subscribed:] if item not in versions and item not in offsets]


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("alone", [True, False])
@on_manual_time
async def test_newcomer_receives_each_event_once_in_every_order_of_steps(batch: int, alone: bool) -> None:
    for subscribed, head, snapshot, tracked, completed in ORDERS:
        room = TrackedRoomDriver()
        old = None if alone else room.join("old")
        newcomer: RecordingMember | None = None
        moments = sorted({0, subscribed, tracked, completed, *range(0, len(BUS) + 1, batch), len(BUS)})
        for begin, end in zip(moments, [*moments[1:], len(BUS)], strict=True):
            if begin == subscribed:
                newcomer = room.begin_join()
            if begin == tracked:
                room.start_at(last(int, head))
            if begin == completed:
                assert newcomer is not None
                room.complete_join(newcomer, last(int, head), last(str, snapshot))
            room.deliver_batch(*(BUS[begin:end] if begin >= subscribed or not alone else ()))
        order = (subscribed, head, snapshot, tracked, completed)
        assert newcomer is not None
        assert of(str, received(newcomer)) == of(str, expected(subscribed, head, snapshot)), order
        assert of(int, received(newcomer)) == of(int, expected(subscribed, head, snapshot)), order
        # Without a position in the channel, messages wait in the tracker, and events do not.
        assert old is None or received(newcomer) == expected(subscribed, head, snapshot), order
        assert old is None or received(old) == BUS, order


@on_manual_time
async def test_newcomer_receives_each_event_once_in_every_order_of_steps_with_slices() -> None:
    for (subscribed, head, snapshot, tracked, completed), pause in product(ORDERS, [0, 2]):
        if tracked != completed:
            continue
        room = TrackedRoomDriver(slice_size=1)
        old = [room.join(f"old{number}") for number in range(3)]
        newcomer = RecordingMember("new")
        for moment in MOMENTS:
            if moment == subscribed:
                room.hub.begin_join(LOBBY, newcomer)
            if moment == completed:
                room.complete_join(newcomer, last(int, head), last(str, snapshot))
            room.deliver_batch(*BUS[moment : moment + 1])
            await turns(pause)
        await turns(40)
        order = (subscribed, head, snapshot, completed, pause)
        assert received(newcomer) == expected(subscribed, head, snapshot), order
        assert [received(member) for member in old] == [BUS] * 3, order


NEXT = "life-2"
TWO_EPOCHS = [Position(EPOCH, 1), Position(EPOCH, 2), Position(NEXT, 1), Position(NEXT, 2), Position(NEXT, 3)]
"""The messages of the room, in the order of the bus, while an epoch ends."""


@pytest.mark.parametrize("slice_size", [1, 100])
@on_manual_time
async def test_newcomer_has_no_unannounced_hole_in_every_order_of_steps_if_an_epoch_ends(slice_size: int) -> None:
    moments = range(len(TWO_EPOCHS) + 1)
    for subscribed, head, completed, pause in product(moments, moments, moments, [0, 3]):
        if subscribed > min(head, completed):
            continue
        room = TrackedRoomDriver(slice_size=slice_size)
        old = [room.join(f"old{number}") for number in range(2)]
        start = Position(EPOCH, 0) if head == 0 else TWO_EPOCHS[head - 1]
        newcomer = RecordingMember("new")
        for moment in moments:
            if moment == subscribed:
                room.hub.begin_join(LOBBY, newcomer)
            if moment == completed:
                buffered = room.hub.complete_join(LOBBY, newcomer, Watermark(0, *start), room.tracker.position(LOBBY))
                newcomer.outbox.write(newcomer.encoding.publications_for(buffered, "new"))
            for epoch, offset in TWO_EPOCHS[moment : moment + 1]:
                room.tracker.deliver_batch([(LOBBY.address, message_payload(offset, epoch))])
            await turns(pause)
        await turns(40)
        assert position_after(newcomer, start) == TWO_EPOCHS[-1], (subscribed, head, completed, pause)
        assert [position_after(member, Position(EPOCH, 0)) for member in old] == [TWO_EPOCHS[-1]] * 2


def position_after(member: RecordingMember, start: Position) -> Position:
    """Return the position of a client that began at `start`, after its messages, each the next one, and resyncs."""
    for whole in objects(member):
        if whole["type"] == "resync":
            start = Position(whole["epoch"], whole["offset"])
        else:
            assert whole["offset"] == start.offset + 1, objects(member)
            start = Position(start.epoch, whole["offset"])
    return start
