"""The registry of this node's sockets: which sessions are in which channel, and which sessions a user has.

Synchronous, local, without I/O. Both directions are indexed: a channel knows its outboxes, a session its channels.
Empty rosters are removed at once. `delivery/roster.py` describes how a session joins a channel.
"""

import heapq
from collections.abc import Collection
from dataclasses import dataclass

from ...shared.channels import Channel, ChannelKind
from ...shared.names import UserId
from ...shared.publication import Position, Publication
from .roster import JoinBuffer, Member, Roster
from .watermark import NOTHING_SEEN, Watermark


@dataclass(frozen=True, slots=True)
class HubStatistics:
    sessions: int
    """Sessions of this node, those that are not open yet among them."""
    users: int
    """Users with a session here."""
    channels: int
    """Channels of which a session here is a member, or which one is joining."""
    rooms: int
    """Those of them that are rooms; the others are agents."""


class Hub:
    """All sessions of the node, and all rosters by the address of their channel."""

    def __init__(self) -> None:
        self.rosters: dict[bytes, Roster] = {}
        # Most users have one session, and a set for each would weigh more than the rest; a few have thousands.
        self._users: dict[UserId, Member | set[Member]] = {}
        self._sessions: set[Member] = set()
        self._rooms = 0

    # ---- sessions

    def register(self, member: Member) -> None:
        self._sessions.add(member)
        user_id = member.user_id
        others = self._users.get(user_id)
        if others is None:
            self._users[user_id] = member
        elif isinstance(others, set):
            others.add(member)
        else:
            self._users[user_id] = {others, member}

    def unregister(self, member: Member) -> None:
        self._sessions.remove(member)
        user_id = member.user_id
        sessions = self._users[user_id]
        if isinstance(sessions, set):
            sessions.remove(member)
            if sessions:
                return
        del self._users[user_id]

    def sessions_of(self, user_id: UserId) -> tuple[Member, ...]:
        sessions = self._users.get(user_id, ())
        return tuple(sessions) if isinstance(sessions, (set, tuple)) else (sessions,)

    def users_after(self, after: str, limit: int) -> list[UserId]:
        """Return the first `limit` users behind `after`, in the order of their ids."""
        return heapq.nsmallest(limit, (user_id for user_id in self._users if user_id > after))

    def sessions(self) -> Collection[Member]:
        """Return a copy: the caller may close sessions while it iterates."""
        return tuple(self._sessions)

    # ---- channels

    def intern_channel(self, channel: Channel) -> Channel:
        """Return the one object that all members of the channel share, so that each keeps only a reference."""
        roster = self.rosters.get(channel.address)
        return channel if roster is None else roster.channel

    def add(self, channel: Channel, member: Member) -> None:
        self._roster(channel).outboxes.setdefault(member.encoding, set()).add(member.outbox)

    def remove(self, channel: Channel, member: Member) -> None:
        roster = self.rosters[channel.address]
        outboxes = roster.outboxes[member.encoding]
        outboxes.remove(member.outbox)
        roster.ahead.pop(member.outbox, None)
        if not outboxes:
            del roster.outboxes[member.encoding]
        self._drop_if_empty(roster)

    def begin_join(self, channel: Channel, member: Member) -> JoinBuffer:
        """Buffer what the channel delivers from now on, until the session's snapshot is there."""
        buffer = self._roster(channel).joining[member.outbox] = JoinBuffer()
        return buffer

    def complete_join(
        self, channel: Channel, member: Member, seen: Watermark, delivered: Position | None = None
    ) -> list[Publication]:
        """Make a session a member whose snapshot contains what it has `seen`.

        `delivered`: no message up to there will be delivered any more. Returned are the publications to be sent
        behind the snapshot: all that was delivered since `begin_join` and is not in the snapshot, and how the open
        streams stand.
        """
        roster = self.rosters[channel.address]
        buffered = roster.joining.pop(member.outbox).publications
        self.add(channel, member)
        if delivered is not None and not roster.delivered.epoch:
            roster.delivered = Watermark(roster.delivered.version, *delivered)
        not_seen = seen.not_seen_of(buffered)
        if any(publication.resets for publication in not_seen):
            seen = Watermark(seen.version)  # a `resync` leads it into another epoch: all messages behind it are new
        self.skip_to(channel, member, seen)
        return not_seen if roster.streams is None else [*not_seen, *roster.streams.snapshots()]

    def skip_to(self, channel: Channel, member: Member, seen: Watermark) -> Position:
        """Deliver nothing up to `seen` to this member: it knows it, or was sent a `resync` and will read it.

        Return the position behind which it is delivered to: it may have known more before.
        """
        roster = self.rosters[channel.address]
        seen = seen.merged_with(roster.ahead.get(member.outbox, NOTHING_SEEN))
        if seen.is_ahead_of(roster.delivered):
            roster.ahead[member.outbox] = seen
        return Position(seen.epoch, seen.offset)

    def version_seen(self, room: Channel) -> int:
        """Return the latest version of the room that any of its members has seen; 0: none."""
        roster = self.rosters.get(room.address)
        return 0 if roster is None else roster.version_seen

    def abandon_join(self, channel: Channel, member: Member) -> None:
        """Drop the buffer of a session that does not become a member."""
        roster = self.rosters[channel.address]
        del roster.joining[member.outbox]
        self._drop_if_empty(roster)

    def _roster(self, channel: Channel) -> Roster:
        roster = self.rosters.get(channel.address)
        if roster is None:
            roster = self.rosters[channel.address] = Roster(channel)
            self._rooms += channel.kind is ChannelKind.ROOM
        return roster

    def _drop_if_empty(self, roster: Roster) -> None:
        if not (roster.outboxes or roster.joining):
            del self.rosters[roster.channel.address]
            self._rooms -= roster.channel.kind is ChannelKind.ROOM

    def statistics(self) -> HubStatistics:
        return HubStatistics(
            sessions=len(self._sessions), users=len(self._users), channels=len(self.rosters), rooms=self._rooms
        )
