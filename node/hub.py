"""The registry of this node's sockets: who is in which channel, and which sessions a user has here.

Synchronous, local, without I/O. A two-way index: a channel knows its outboxes, a connection its channels; empty rosters
are removed at once. `add` and `remove` report the edges: first in, last out.
"""

from collections.abc import Iterable
from typing import Protocol

from ..shared.channels import Channel
from ..shared.codec import WireFormat
from ..shared.names import UserId
from .outbox import Outbox


class Member(Protocol):
    """A connection, as the hub sees it."""

    @property
    def outbox(self) -> Outbox: ...
    @property
    def wire(self) -> WireFormat: ...
    @property
    def user_id(self) -> UserId: ...
    @property
    def is_open(self) -> bool: ...


class Roster:
    """The sockets of one channel on this node, by wire format: each format is framed once for all its sockets."""

    __slots__ = ("channel", "outboxes")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.outboxes: dict[WireFormat, set[Outbox]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.outboxes.values()))

    def find(self, session_id: str) -> tuple[WireFormat, Outbox] | None:
        """The outbox of one session; for rosters as small as an agent's."""
        for wire, outboxes in self.outboxes.items():
            for outbox in outboxes:
                if outbox.session_id == session_id:
                    return wire, outbox
        return None


class Hub:
    """All rosters of the node, by the address of their channel."""

    def __init__(self) -> None:
        self.rosters: dict[bytes, Roster] = {}
        # Most users have one session, and a set for each would outweigh the rest of it; a few have thousands.
        self._users: dict[UserId, Member | set[Member]] = {}
        self._sessions: set[Member] = set()

    # ---- sessions

    def register(self, member: Member) -> None:
        self._sessions.add(member)
        others = self._users.get(member.user_id)
        if others is None:
            self._users[member.user_id] = member
        elif isinstance(others, set):
            others.add(member)
        else:
            self._users[member.user_id] = {others, member}

    def unregister(self, member: Member) -> None:
        self._sessions.remove(member)
        sessions = self._users[member.user_id]
        if isinstance(sessions, set):
            sessions.remove(member)
        if not isinstance(sessions, set) or not sessions:
            del self._users[member.user_id]

    def sessions_of(self, user_id: UserId) -> tuple[Member, ...]:
        sessions = self._users.get(user_id, ())
        return tuple(sessions) if isinstance(sessions, (set, tuple)) else (sessions,)

    def sessions(self) -> Iterable[Member]:
        """A copy: whoever walks it may close what it meets."""
        return tuple(self._sessions)

    # ---- channels

    def known(self, channel: Channel) -> Channel:
        """The same channel as one object for all its members."""
        roster = self.rosters.get(channel.address)
        return roster.channel if roster else channel

    def add(self, channel: Channel, member: Member) -> bool:
        """True: the first one in."""
        roster = self.rosters.get(channel.address)
        first = roster is None
        if roster is None:
            roster = self.rosters[channel.address] = Roster(channel)
        roster.outboxes.setdefault(member.wire, set()).add(member.outbox)
        return first

    def remove(self, channel: Channel, member: Member) -> bool:
        """True: the last one out."""
        roster = self.rosters[channel.address]
        outboxes = roster.outboxes[member.wire]
        outboxes.remove(member.outbox)
        if not outboxes:
            del roster.outboxes[member.wire]
        if not roster.outboxes:
            del self.rosters[channel.address]
            return True
        return False

    def statistics(self) -> dict[str, int]:
        return {"sessions": len(self._sessions), "users": len(self._users), "channels": len(self.rosters)}
