"""Joining a channel with history: each message is received once and in order, whether history or link is faster.

The position of a newcomer may be ahead of what the node has delivered, or behind. It makes no difference to the other
members.
"""

import pytest
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat
from tannoy.shared.publication import EncodedMessage, Position, Publication

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import LOBBY
from tests.support.scripted_history import EPOCH
from tests.support.tracked_room import TrackedRoomDriver, received

# ---- ahead of the node


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
@on_manual_time
async def test_messages_up_to_the_head_of_a_newcomer_are_delivered_to_the_others_alone(wire: WireFormat) -> None:
    room = TrackedRoomDriver()
    old = room.join("old")
    newcomer = room.begin_join(wire=wire)
    room.complete_join(newcomer, 3)
    room.deliver_batch(1, 2)
    assert room.ahead == {"new": Watermark(0, EPOCH, 3)}
    room.deliver_batch(3, 4)
    assert (received(old), received(newcomer)) == ([1, 2, 3, 4], [4])
    assert room.ahead == {}


@on_manual_time
async def test_session_that_joins_at_the_position_of_the_node_is_not_ahead() -> None:
    room = TrackedRoomDriver()
    room.join("old")
    room.deliver_batch(1)
    room.join("new", at=1)
    assert room.ahead == {}


@on_manual_time
async def test_sessions_that_join_a_room_without_traffic_are_not_ahead() -> None:
    room = TrackedRoomDriver()
    for number in range(3):
        room.join(f"s{number}", at=7)
    assert room.ahead == {}


@on_manual_time
async def test_batch_leaves_out_known_messages_and_excluded_sessions() -> None:
    room = TrackedRoomDriver()
    old, newcomer = room.join("old"), room.begin_join()
    room.complete_join(newcomer, 1)
    publications = [publication(1), publication(2, exclude="new"), publication(3, exclude="old"), publication(4)]
    room.relay.deliver([(LOBBY.address, one) for one in publications])
    assert (received(old), received(newcomer)) == ([1, 2, 4], [3, 4])


def publication(offset: int, epoch: str = EPOCH, *, exclude: str = "", resets: bool = False) -> Publication:
    whole = {"offset": offset} if resets else {"message": True}
    return Publication(EncodedMessage(JSON.encode(whole), MSGPACK.encode(whole)), exclude, 0, epoch, offset, resets)


# ---- another epoch


@on_manual_time
async def test_session_ahead_in_the_next_epoch_receives_its_messages_once() -> None:
    room = TrackedRoomDriver()
    old, newcomer = room.join("old"), room.begin_join()
    assert room.hub.complete_join(LOBBY, newcomer, Watermark(0, "life-2", 2), room.tracker.position(LOBBY)) == []
    publications = [publication(0, "life-2", resets=True), *(publication(offset, "life-2") for offset in (1, 2, 3))]
    room.relay.deliver([(LOBBY.address, one) for one in publications[:2]])
    assert room.ahead == {"new": Watermark(0, "life-2", 2)}
    room.relay.deliver([(LOBBY.address, one) for one in publications[2:]])
    # The newcomer knows the epoch, so it needs no `resync` into it.
    assert (received(newcomer), received(old)) == ([3], [0, 1, 2, 3])
    assert room.ahead == {}


@on_manual_time
async def test_session_ahead_in_the_next_epoch_receives_no_message_of_the_one_before() -> None:
    room = TrackedRoomDriver()
    old, newcomer = room.join("old"), room.begin_join()
    room.hub.complete_join(LOBBY, newcomer, Watermark(0, "life-2", 2), room.tracker.position(LOBBY))
    room.deliver_batch(1, 2)
    room.relay.deliver([(LOBBY.address, publication(5, "life-2", resets=True))])
    room.relay.deliver([(LOBBY.address, publication(6, "life-2"))])
    assert (received(newcomer), received(old)) == ([5, 6], [1, 2, 5, 6])


@on_manual_time
async def test_session_whose_snapshot_is_of_an_ended_epoch_is_sent_the_resync() -> None:
    room = TrackedRoomDriver()
    room.join("old")
    newcomer = room.begin_join()
    room.relay.deliver([(LOBBY.address, publication(0, "life-2", resets=True))])
    room.relay.deliver([(LOBBY.address, publication(1, "life-2"))])
    buffered = room.hub.complete_join(LOBBY, newcomer, Watermark(0, EPOCH, 40), Position("life-2", 1))
    newcomer.outbox.write_direct(newcomer.encoding.publications_for(buffered, "new"))
    for offset in (2, 3):
        room.relay.deliver([(LOBBY.address, publication(offset, "life-2"))])
    assert received(newcomer) == [0, 1, 2, 3]


@on_manual_time
async def test_session_is_not_ahead_any_more_when_its_epoch_ends() -> None:
    room = TrackedRoomDriver()
    room.join("old")
    room.complete_join(room.begin_join(), 9)
    room.relay.deliver([(LOBBY.address, publication(0, "life-2", resets=True))])
    assert room.ahead == {}


# ---- skip_to


@on_manual_time
async def test_queued_messages_up_to_the_skipped_position_are_not_delivered() -> None:
    room = TrackedRoomDriver(slice_size=1)
    members = [room.join(f"s{number}") for number in range(4)]
    room.deliver_batch(1)
    room.deliver_batch(2)
    waiting = next(member for member in members if not received(member))
    room.hub.skip_to(LOBBY, waiting, Watermark(0, EPOCH, 2))
    await turns(20)
    room.deliver_batch(3)
    await turns(20)
    assert received(waiting) == [3]
    assert all(received(member) == [1, 2, 3] for member in members if member is not waiting)


@on_manual_time
async def test_member_that_skips_to_a_delivered_position_is_not_ahead() -> None:
    room = TrackedRoomDriver()
    member = room.join("s")
    room.deliver_batch(1)
    room.hub.skip_to(LOBBY, member, Watermark(0, EPOCH, 1))
    assert room.ahead == {}


@on_manual_time
async def test_member_that_skips_receives_no_event_of_its_snapshot() -> None:
    room = TrackedRoomDriver()
    room.join("old")
    newcomer = room.begin_join()
    room.complete_join(newcomer, 0, version=7)
    room.hub.skip_to(LOBBY, newcomer, Watermark(0, EPOCH, 1))
    room.deliver_batch("v7", 1, 2, "v8")
    assert received(newcomer) == [2, "v8"]


@on_manual_time
async def test_member_that_skips_receives_no_message_that_it_knows() -> None:
    room = TrackedRoomDriver()
    room.join("old")
    newcomer = room.begin_join()
    room.complete_join(newcomer, 3)
    room.hub.skip_to(LOBBY, newcomer, Watermark(0, EPOCH, 1))
    room.deliver_batch(1, 2, 3, 4)
    assert received(newcomer) == [4]


# ---- a room that all members leave during a sliced delivery


@on_manual_time
async def test_session_that_joins_a_room_left_during_a_sliced_delivery_receives_nothing_that_it_knows() -> None:
    room = TrackedRoomDriver(slice_size=1)
    members = [room.join(f"s{number}") for number in range(4)]
    room.deliver_batch(1)
    room.deliver_batch(2)
    for member in members:
        room.hub.remove(LOBBY, member)
    newcomer = room.begin_join()
    room.complete_join(newcomer, 2)
    await turns(20)
    room.deliver_batch(3)
    await turns(20)
    assert received(newcomer) == [3]
