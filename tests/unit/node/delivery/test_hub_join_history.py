"""Entering a channel with history: whatever is faster, the log or the link, each message is heard once and in order.

A newcomer's place may be ahead of what the node has passed on, or behind. Old members notice nothing of it.
"""

from typing import Any

import msgpack
import pytest
from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.history.tracker import ChannelTracker
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.relay import Relay
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat
from tannoy.shared.publication import EncodedMessage, Position, Publication

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.hub_members import LOBBY, RecordingMember
from tests.support.scripted_history import EPOCH, ScriptedHistory, TrackerDriver, message_payload

Heard = list[int | str]


class Door:
    """A room of this node with its cursor, and newcomers at its door."""

    def __init__(self, *, slice_size: int = 4096) -> None:
        self.hub = Hub()
        self.relay = Relay(
            self.hub,
            pause_link=lambda: None,
            resume_link=lambda: None,
            fence_if_expired=lambda: False,
            slice_size=slice_size,
        )
        history = HistoryReader(ScriptedHistory(), Keyspace("tannoy"), HistoryRules(100, 300))
        nobody = TrackerDriver()
        self.tracker = ChannelTracker(history, nobody, clock=manual_clock(), deliver=self.relay.deliver)
        self.tracker.follow(LOBBY)

    def join(self, session_id: str, *, at: int = 0) -> RecordingMember:
        """A member since the message `at`."""
        member = self.expect(session_id)
        self.place(at)
        self.admit(member, at)
        return member

    def expect(self, session_id: str = "new", *, wire: WireFormat = JSON) -> RecordingMember:
        newcomer = RecordingMember(session_id, wire=wire)
        self.hub.begin_join(LOBBY, newcomer)
        return newcomer

    def place(self, head: int) -> None:
        """The newcomer has been told the head, and so has the node."""
        self.tracker.start_at(LOBBY, Position(EPOCH, head))

    def admit(self, newcomer: RecordingMember, head: int, version: int = 0) -> None:
        """As a connection does: what was kept goes out first."""
        seen = Watermark(version, EPOCH, head)
        kept = self.hub.complete_join(LOBBY, newcomer, seen, self.tracker.position(LOBBY))
        if frames := newcomer.encoding.publications_for(kept, newcomer.outbox.session_id):
            newcomer.outbox.write_direct(frames)

    def bring(self, *items: int | str) -> None:
        """What the link brings in one batch: messages by their offset, presence events as `v` and their version."""
        self.tracker.deliver_batch([(LOBBY.address, delivery(item)) for item in items])

    @property
    def ahead(self) -> dict[str, Watermark]:
        return {outbox.session_id: seen for outbox, seen in self.hub.rosters[LOBBY.address].ahead.items()}


def delivery(item: int | str) -> bytes:
    if isinstance(item, int):
        return message_payload(item)
    return b"\x02" + msgpack.packb(["lobby", "count", 2000, int(item[1:])])


def objects(member: RecordingMember) -> list[dict[str, Any]]:
    return member.transport.objects


def heard(member: RecordingMember) -> Heard:
    return [whole["offset"] if "offset" in whole else f"v{whole['version']}" for whole in objects(member)]


# ---- ahead of the node


@pytest.mark.parametrize("wire", [JSON, MSGPACK], ids=lambda wire: wire.name)
@on_manual_time
async def test_what_a_newcomer_knows_already_is_for_the_others_alone(wire: WireFormat) -> None:
    door = Door()
    old = door.join("old")
    newcomer = door.expect(wire=wire)
    door.admit(newcomer, 3)
    door.bring(1, 2)
    assert door.ahead == {"new": Watermark(0, EPOCH, 3)}
    door.bring(3, 4)
    assert (heard(old), heard(newcomer)) == ([1, 2, 3, 4], [4])
    assert door.ahead == {}


@on_manual_time
async def test_a_newcomer_at_the_nodes_own_place_is_like_all_others() -> None:
    door = Door()
    door.join("old")
    door.bring(1)
    door.join("new", at=1)
    assert door.ahead == {}


@on_manual_time
async def test_nobody_is_remembered_in_a_room_that_says_nothing() -> None:
    door = Door()
    for number in range(3):
        door.join(f"s{number}", at=7)
    assert door.ahead == {}


@on_manual_time
async def test_what_a_newcomer_knows_and_what_excludes_others_meet_in_one_batch() -> None:
    door = Door()
    old, newcomer = door.join("old"), door.expect()
    door.admit(newcomer, 1)
    said = [publication(1), publication(2, exclude="new"), publication(3, exclude="old"), publication(4)]
    door.relay.deliver([(LOBBY.address, one) for one in said])
    assert (heard(old), heard(newcomer)) == ([1, 2, 4], [3, 4])


def publication(offset: int, epoch: str = EPOCH, *, exclude: str = "", resets: bool = False) -> Publication:
    whole = {"offset": offset} if resets else {"message": True}
    return Publication(EncodedMessage(JSON.encode(whole), MSGPACK.encode(whole)), exclude, 0, epoch, offset, resets)


# ---- another epoch


@on_manual_time
async def test_whoever_knows_the_next_epoch_already_hears_nothing_of_it_twice() -> None:
    door = Door()
    old, newcomer = door.join("old"), door.expect()
    assert door.hub.complete_join(LOBBY, newcomer, Watermark(0, "life-2", 2), door.tracker.position(LOBBY)) == []
    told = [publication(0, "life-2", resets=True), *(publication(offset, "life-2") for offset in (1, 2, 3))]
    door.relay.deliver([(LOBBY.address, one) for one in told[:2]])
    assert door.ahead == {"new": Watermark(0, "life-2", 2)}
    door.relay.deliver([(LOBBY.address, one) for one in told[2:]])
    assert (heard(newcomer), heard(old)) == ([3], [0, 1, 2, 3])  # the newcomer needs no word that the epoch has begun
    assert door.ahead == {}


@on_manual_time
async def test_whoever_knows_the_next_epoch_already_hears_nothing_of_the_one_before() -> None:
    door = Door()
    old, newcomer = door.join("old"), door.expect()
    door.hub.complete_join(LOBBY, newcomer, Watermark(0, "life-2", 2), door.tracker.position(LOBBY))
    door.bring(1, 2)
    door.relay.deliver([(LOBBY.address, publication(5, "life-2", resets=True))])
    door.relay.deliver([(LOBBY.address, publication(6, "life-2"))])
    assert (heard(newcomer), heard(old)) == ([5, 6], [1, 2, 5, 6])


@on_manual_time
async def test_whoever_knows_an_epoch_that_has_ended_is_led_into_the_next() -> None:
    door = Door()
    door.join("old")
    newcomer = door.expect()
    door.relay.deliver([(LOBBY.address, publication(0, "life-2", resets=True))])
    door.relay.deliver([(LOBBY.address, publication(1, "life-2"))])
    kept = door.hub.complete_join(LOBBY, newcomer, Watermark(0, EPOCH, 40), Position("life-2", 1))
    newcomer.outbox.write_direct(newcomer.encoding.publications_for(kept, "new"))
    for offset in (2, 3):
        door.relay.deliver([(LOBBY.address, publication(offset, "life-2"))])
    assert heard(newcomer) == [0, 1, 2, 3]


@on_manual_time
async def test_what_somebody_knew_of_an_epoch_that_has_ended_is_forgotten() -> None:
    door = Door()
    door.join("old")
    door.admit(door.expect(), 9)
    door.relay.deliver([(LOBBY.address, publication(0, "life-2", resets=True))])
    assert door.ahead == {}


# ---- told to read elsewhere


@on_manual_time
async def test_what_somebody_was_told_to_read_elsewhere_is_not_for_it_any_more() -> None:
    door = Door(slice_size=1)
    members = [door.join(f"s{number}") for number in range(4)]
    door.bring(1)
    door.bring(2)
    waiting = next(member for member in members if not heard(member))
    door.hub.skip_to(LOBBY, waiting, Watermark(0, EPOCH, 2))
    await turns(20)
    door.bring(3)
    await turns(20)
    assert heard(waiting) == [3]
    assert all(heard(member) == [1, 2, 3] for member in members if member is not waiting)


@on_manual_time
async def test_whoever_skips_what_all_have_been_given_is_not_remembered() -> None:
    door = Door()
    member = door.join("s")
    door.bring(1)
    door.hub.skip_to(LOBBY, member, Watermark(0, EPOCH, 1))
    assert door.ahead == {}


@on_manual_time
async def test_whoever_skips_messages_still_gets_no_event_that_its_snapshot_holds() -> None:
    door = Door()
    door.join("old")
    newcomer = door.expect()
    door.admit(newcomer, 0, version=7)
    door.hub.skip_to(LOBBY, newcomer, Watermark(0, EPOCH, 1))
    door.bring("v7", 1, 2, "v8")
    assert heard(newcomer) == [2, "v8"]


@on_manual_time
async def test_whoever_skips_messages_still_gets_none_that_it_knows_already() -> None:
    door = Door()
    door.join("old")
    newcomer = door.expect()
    door.admit(newcomer, 3)
    door.hub.skip_to(LOBBY, newcomer, Watermark(0, EPOCH, 1))
    door.bring(1, 2, 3, 4)
    assert heard(newcomer) == [4]


# ---- a room that everybody leaves in the midst of its slices


@on_manual_time
async def test_whoever_comes_into_a_room_that_was_left_within_a_sweep_hears_nothing_that_it_knows() -> None:
    door = Door(slice_size=1)
    members = [door.join(f"s{number}") for number in range(4)]
    door.bring(1)
    door.bring(2)
    for member in members:
        door.hub.remove(LOBBY, member)
    newcomer = door.expect()
    door.admit(newcomer, 2)
    await turns(20)
    door.bring(3)
    await turns(20)
    assert heard(newcomer) == [3]
