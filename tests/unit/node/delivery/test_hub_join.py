"""Joining a room whose snapshot is ahead of the bus, or behind it.

A newcomer receives no presence event that its snapshot contains, each later one once, and all messages since it
subscribed, in the order of the bus.
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


class RoomDriver:
    """The lobby of a node with its relay, and sessions that join it."""

    def __init__(self, *, slice_size: int = 4096) -> None:
        driver = RelayDriver(slice_size=slice_size)
        self.hub = driver.hub
        self.join = driver.join
        self.deliver = driver.relay.deliver

    def begin_join(self, session_id: str = "new", *, wire: WireFormat = JSON) -> RecordingMember:
        newcomer = RecordingMember(session_id, wire=wire)
        self.hub.begin_join(LOBBY, newcomer)
        return newcomer

    def complete_join(self, newcomer: RecordingMember, version: int) -> None:
        """Complete a join as a connection does: what was buffered is sent first."""
        not_seen = self.hub.complete_join(LOBBY, newcomer, Watermark(version))
        if frames := newcomer.encoding.publications_for(not_seen, newcomer.outbox.session_id):
            newcomer.outbox.write_direct(frames)


def received(member: RecordingMember) -> list[Any]:
    """Return messages by their number, events by `v` and their version."""
    return [whole["message"] if "message" in whole else f"v{whole['version']}" for whole in member.transport.objects]


BUS: list[str | int] = ["v1", 1, "v2", 2, 3, "v3", "v4", 4]
"""The events of the room, in the order of the bus."""


def delivery(item: str | int) -> Delivery:
    return message(item) if isinstance(item, int) else event(int(item[1:]))


def expected(subscribed: int, snapshot: int) -> list[Any]:
    """Return what a newcomer receives: `subscribed` items were delivered before, `snapshot` ones published."""
    known = sum(isinstance(item, str) for item in BUS[:snapshot])
    return [item for item in BUS[subscribed:] if isinstance(item, int) or int(item[1:]) > known]


def version_at(snapshot: int) -> int:
    return sum(isinstance(item, str) for item in BUS[:snapshot])


MOMENTS = range(len(BUS) + 1)
ORDERS = [
    (subscribed, snapshot, completed)
    for subscribed, snapshot, completed in product(MOMENTS, MOMENTS, MOMENTS)
    if subscribed <= snapshot and subscribed <= completed
]
"""The bus may be behind the snapshot when the join is completed, level with it, or ahead."""


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
@pytest.mark.parametrize("alone", [True, False])
def test_newcomer_receives_each_event_once_in_every_order_of_steps(batch: int, alone: bool) -> None:
    for subscribed, snapshot, completed in ORDERS:
        room = RoomDriver()
        if not alone:
            room.join("old")
        newcomer: RecordingMember | None = None
        moments = sorted({0, subscribed, completed, *range(0, len(BUS) + 1, batch), len(BUS)})
        for begin, end in zip(moments, [*moments[1:], len(BUS)], strict=True):
            if begin == subscribed:
                newcomer = room.begin_join()
            if begin == completed:
                assert newcomer is not None
                room.complete_join(newcomer, version_at(snapshot))
            room.deliver([delivery(item) for item in BUS[begin:end]])
        assert newcomer is not None
        assert received(newcomer) == expected(subscribed, snapshot), (subscribed, snapshot, completed)


@on_manual_time
async def test_newcomer_receives_each_event_once_in_every_order_of_steps_with_slices() -> None:
    for (subscribed, snapshot, completed), pause in product(ORDERS, [0, 1, 2]):
        room = RoomDriver(slice_size=1)
        old = [room.join(f"old{number}") for number in range(3)]
        newcomer = RecordingMember("new")
        for moment in MOMENTS:
            if moment == subscribed:
                await turns(20)  # from here on the bus is ahead of the sockets
                room.hub.begin_join(LOBBY, newcomer)
            if moment == completed:
                room.complete_join(newcomer, version_at(snapshot))
            room.deliver([delivery(item) for item in BUS[moment : moment + 1]])
            await turns(pause)
        await turns(50)
        assert received(newcomer) == expected(subscribed, snapshot), (subscribed, snapshot, completed, pause)
        assert [received(member) for member in old] == [BUS] * 3
        assert room.hub.rosters[LOBBY.address].ahead.keys() <= {newcomer.outbox}


@on_manual_time
async def test_session_that_joins_during_a_sliced_delivery_receives_its_batch_once() -> None:
    room = RoomDriver(slice_size=1)
    for number in range(3):
        room.join(f"old{number}")
    newcomer = room.begin_join()
    room.deliver([message(1)])  # the first slice is written: it is copied to the join buffer
    room.deliver([message(2)])  # waits behind its slices
    room.complete_join(newcomer, 0)
    await turns(20)
    assert received(newcomer) == [1, 2]


@on_manual_time
async def test_session_that_rejoins_during_a_sliced_delivery_receives_no_event_of_its_snapshot() -> None:
    room = RoomDriver(slice_size=1)
    members = [room.join(f"old{number}") for number in range(4)]
    room.deliver([event(5), event(6)])
    back = next(member for member in members if not received(member))
    room.hub.remove(LOBBY, back)
    room.hub.begin_join(LOBBY, back)
    room.complete_join(back, 6)
    await turns(20)
    assert received(back) == []
    assert room.hub.rosters[LOBBY.address].ahead == {}


# ---- membership


def test_roster_of_joining_sessions_alone_exists_and_has_no_members() -> None:
    room = RoomDriver()
    newcomer = room.begin_join()
    assert len(room.hub.rosters[LOBBY.address]) == 0
    assert room.hub.intern_channel(Keyspace("tannoy").room(RoomName("lobby"))) is LOBBY
    room.hub.abandon_join(LOBBY, newcomer)
    assert room.hub.rosters == {}


def test_roster_stays_if_the_last_member_leaves_while_a_session_joins() -> None:
    room = RoomDriver()
    member, newcomer = room.join("old"), room.begin_join()
    room.hub.remove(LOBBY, member)
    room.deliver([message(1)])
    room.complete_join(newcomer, 0)
    assert received(newcomer) == [1]


def test_session_receives_nothing_before_complete_join_and_nothing_after_abandon_join() -> None:
    room = RoomDriver()
    room.join("old")
    completed, abandoned = room.begin_join("completed"), room.begin_join("abandoned", wire=MSGPACK)
    room.deliver([message(1)])
    assert (received(completed), received(abandoned)) == ([], [])
    room.hub.abandon_join(LOBBY, abandoned)
    room.complete_join(completed, 0)
    room.deliver([message(2)])
    assert (received(completed), received(abandoned)) == ([1, 2], [])


def test_complete_join_and_abandon_join_without_begin_join_raise() -> None:
    room = RoomDriver()
    member = room.join("old")
    with pytest.raises(KeyError):
        room.hub.complete_join(LOBBY, member, NOTHING_SEEN)
    with pytest.raises(KeyError):
        room.hub.abandon_join(LOBBY, member)


def test_buffered_publication_that_excludes_the_session_is_not_sent() -> None:
    room = RoomDriver()
    newcomer = room.begin_join("new", wire=MSGPACK)
    room.deliver([message(1), message(2, exclude="new"), message(3, exclude="other")])
    room.complete_join(newcomer, 0)
    assert received(newcomer) == [1, 3]


def test_batch_leaves_out_known_events_and_excluded_sessions() -> None:
    room = RoomDriver()
    member, newcomer = room.join("old"), room.begin_join()
    room.complete_join(newcomer, 7)
    room.deliver([event(7), message(1, exclude="new"), message(2, exclude="old"), event(8)])
    assert received(newcomer) == [2, "v8"]
    assert received(member) == ["v7", 1, "v8"]


# ---- sessions that are ahead of the bus


def test_session_is_ahead_until_the_bus_reaches_its_snapshot() -> None:
    room = RoomDriver()
    newcomer = room.begin_join()
    roster = room.hub.rosters[LOBBY.address]
    room.complete_join(newcomer, 7)
    assert roster.ahead == {newcomer.outbox: Watermark(7)}
    room.deliver([event(6), message(1)])
    assert roster.ahead == {newcomer.outbox: Watermark(7)}
    room.deliver([event(7)])
    assert roster.ahead == {}
    assert received(newcomer) == [1]


def test_session_is_not_ahead_if_the_bus_has_passed_its_snapshot() -> None:
    room = RoomDriver()
    newcomer = room.begin_join()
    room.deliver([event(7), event(8)])
    room.complete_join(newcomer, 7)
    assert room.hub.rosters[LOBBY.address].ahead == {}
    assert received(newcomer) == ["v8"]


def test_removed_session_is_not_ahead_any_more() -> None:
    room = RoomDriver()
    member, newcomer = room.join("old"), room.begin_join()
    room.complete_join(newcomer, 7)
    room.hub.remove(LOBBY, newcomer)
    assert room.hub.rosters[LOBBY.address].ahead == {}
    room.deliver([event(7)])
    assert (received(member), received(newcomer)) == (["v7"], [])


def test_members_share_one_chunk_while_another_session_is_ahead() -> None:
    room = RoomDriver()
    members = [room.join(f"old{number}") for number in range(3)]
    newcomer = room.begin_join()
    room.complete_join(newcomer, 7)
    written: list[Chunk] = []
    for member in (*members, newcomer):
        member.outbox.write = written.append
    room.deliver([message(1)])
    assert len(written) == 4
    assert len(set(written)) == 1
    assert len({id(frames) for frames in written}) <= 2


# ---- the latest version that members have seen


def test_the_version_seen_is_the_later_one_of_stream_and_snapshots() -> None:
    room = RoomDriver()
    seen = [room.hub.version_seen(LOBBY)]
    for version in (3, 9):
        room.complete_join(room.begin_join(str(version)), version)
        seen.append(room.hub.version_seen(LOBBY))
    room.deliver([event(12)])
    assert [*seen, room.hub.version_seen(LOBBY)] == [0, 3, 9, 12]
