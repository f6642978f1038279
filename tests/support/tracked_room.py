"""A room of a node that is delivered to over a tracker and a relay, and the sessions that join it."""

from typing import Any

import msgpack
from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.history.tracker import ChannelTracker
from tannoy.node.delivery.hub import Hub
from tannoy.node.delivery.relay import Relay
from tannoy.node.delivery.stream_delivery import StreamTables
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.protocol.codec import JSON, WireFormat
from tannoy.shared.publication import Position

from tests.support.clock import manual_clock
from tests.support.hub_members import LOBBY, RecordingMember
from tests.support.scripted_history import EPOCH, ScriptedHistory, TrackerDriver, message_payload

Received = list[int | str]
"""Messages by their offset, presence events as `v` and their version."""


class TrackedRoomDriver:
    """The lobby of a node, with its relay and its tracker, and sessions that join it."""

    def __init__(self, *, slice_size: int = 4096) -> None:
        self.hub = Hub()
        self.relay = Relay(
            self.hub,
            pause_link=lambda: None,
            resume_link=lambda: None,
            fence_if_expired=lambda: False,
            record_outcome=lambda token, outcome: None,
            streams=StreamTables(lambda channel, stream_id: None, lambda: 0.0, lambda roster: None),
            slice_size=slice_size,
        )
        history = HistoryReader(ScriptedHistory(), Keyspace("tannoy"), HistoryRules(100, 300))
        barriers = TrackerDriver()
        self.tracker = ChannelTracker(history, barriers, clock=manual_clock(), deliver=self.relay.deliver)
        self.tracker.follow(LOBBY)

    def join(self, session_id: str, *, at: int = 0) -> RecordingMember:
        """Return a session that has joined at the offset `at`."""
        member = self.begin_join(session_id)
        self.start_at(at)
        self.complete_join(member, at)
        return member

    def begin_join(self, session_id: str = "new", *, wire: WireFormat = JSON) -> RecordingMember:
        newcomer = RecordingMember(session_id, wire=wire)
        self.hub.begin_join(LOBBY, newcomer)
        return newcomer

    def start_at(self, head: int) -> None:
        """Give the tracker the head that a join has read."""
        self.tracker.start_at(LOBBY, Position(EPOCH, head))

    def complete_join(self, newcomer: RecordingMember, head: int, version: int = 0) -> None:
        """Complete a join as a connection does: what was buffered is sent first."""
        seen = Watermark(version, EPOCH, head)
        buffered = self.hub.complete_join(LOBBY, newcomer, seen, self.tracker.position(LOBBY))
        if frames := newcomer.encoding.publications_for(buffered, newcomer.outbox.session_id):
            newcomer.outbox.write_direct(frames)

    def deliver_batch(self, *items: int | str) -> None:
        """Deliver one batch of the link: messages by their offset, presence events as `v` and their version."""
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


def received(member: RecordingMember) -> Received:
    return [whole["offset"] if "offset" in whole else f"v{whole['version']}" for whole in objects(member)]
