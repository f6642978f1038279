"""The registry of this node's sockets: who is in which channel, and which sessions a user has here.

Synchronous, local, without I/O. A two-way index: a channel knows its outboxes, a connection its channels; empty rosters
are removed at once. `add` and `remove` report the edges: first in, last out.

Whoever enters a room hears it before it knows who is in it, and either may come first: what the room says goes to a
gate (`expect`) until the snapshot is there (`admit`). Then nothing is told that the snapshot holds, and all else once.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ...shared.channels import Channel
from ...shared.names import UserId
from ...shared.protocol.codec import WireFormat
from ...shared.publication import Position, Publication
from .outbox import Outbox

GATE_MAX_PUBLICATIONS = 1000
GATE_MAX_BYTES = 1024 * 1024
"""Of publications that wait for one newcomer's snapshot, as JSON. Beyond either bound the oldest are dropped."""


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


class JoinBuffer:
    """What a channel says while one of its newcomers waits for the snapshot."""

    __slots__ = ("_bytes", "kept", "overflowed")

    def __init__(self) -> None:
        self.kept: deque[Publication] = deque()
        self.overflowed = False
        """Not all is in it that was said."""
        self._bytes = 0

    def keep(self, publications: Iterable[Publication]) -> None:
        kept = self.kept
        for publication in publications:
            kept.append(publication)
            self._bytes += len(publication.encoded.json)
        while len(kept) > GATE_MAX_PUBLICATIONS or self._bytes > GATE_MAX_BYTES:
            self._bytes -= len(kept.popleft().encoded.json)
            self.overflowed = True


class Watermark(NamedTuple):
    """What a member knows already: presence events up to `version`, and messages up to `offset` of `epoch`."""

    version: int = 0
    epoch: str = ""
    offset: int = 0

    @classmethod
    def of(cls, publications: Iterable[Publication]) -> "Watermark":
        """After all of these."""
        version, epoch, offset = 0, "", 0
        for publication in publications:
            version = publication.version or version
            if publication.epoch:
                epoch, offset = publication.epoch, publication.offset
        return cls(version, epoch, offset)

    def includes(self, publication: Publication) -> bool:
        """A `resync` too: who knows an epoch up to an offset must not be led back before it."""
        if publication.version:
            return publication.version <= self.version
        if not (publication.epoch and self.epoch):
            return False
        if publication.epoch != self.epoch:
            return not publication.resets  # said before the epoch that is known already
        return publication.offset <= self.offset

    def rest_of(self, publications: Iterable[Publication]) -> list[Publication]:
        """What of these is not included. Into another epoch a `resync` leads, and behind that all of it is new."""
        seen, rest = self, list[Publication]()
        for publication in publications:
            if not seen.includes(publication):
                rest.append(publication)
                if publication.resets:
                    seen = Watermark(seen.version)
        return rest

    def with_all_of(self, other: "Watermark") -> "Watermark":
        """Both; of two epochs, the messages of this one."""
        offset = max(self.offset, other.offset) if self.epoch == other.epoch else self.offset
        return Watermark(max(self.version, other.version), self.epoch, offset)

    def beyond(self, other: "Watermark") -> bool:
        """Something is included that `other` does not include."""
        in_history = bool(self.epoch) and (self.epoch != other.epoch or self.offset > other.offset)
        return self.version > other.version or in_history


NOTHING = Watermark()


class Roster:
    """The sockets of one channel on this node, by wire format: each format is framed once for all its sockets.

    Not empty, but of length 0, while nobody but newcomers is in it.
    """

    __slots__ = ("arriving", "channel", "outboxes", "passed", "unseen")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.outboxes: dict[WireFormat, set[Outbox]] = {}
        self.arriving: dict[Outbox, JoinBuffer] = {}
        self.unseen: dict[Outbox, Watermark] = {}
        """Members whose snapshot was ahead of what the roster had been given: what is in it is not for them."""
        self.passed = NOTHING
        """What all members have been given."""

    def __len__(self) -> int:
        """Full members only."""
        return sum(map(len, self.outboxes.values()))

    def began(self, publications: Iterable[Publication]) -> None:
        """These are being delivered from now on: newcomers of this moment need them too, later ones do not."""
        for buffer in self.arriving.values():
            buffer.keep(publications)

    def ended(self, end: Watermark) -> None:
        """All up to `end` has been delivered; versions and offsets rise, so nothing lower comes any more."""
        if end == NOTHING:
            return
        version, epoch, offset = end
        passed = self.passed
        self.passed = Watermark(version or passed.version, epoch or passed.epoch, offset if epoch else passed.offset)
        if self.unseen:
            if passed.epoch not in ("", self.passed.epoch):  # whoever was in another epoch was led into this one
                now = self.passed.epoch
                self.unseen = {
                    o: seen if seen.epoch == now else Watermark(seen.version) for o, seen in self.unseen.items()
                }
            self.unseen = {outbox: seen for outbox, seen in self.unseen.items() if seen.beyond(self.passed)}

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
        return channel if roster is None else roster.channel

    def add(self, channel: Channel, member: Member) -> bool:
        """True: the first one in."""
        first = channel.address not in self.rosters
        self._roster(channel).outboxes.setdefault(member.wire, set()).add(member.outbox)
        return first

    def remove(self, channel: Channel, member: Member) -> bool:
        """True: the last one out."""
        roster = self.rosters[channel.address]
        outboxes = roster.outboxes[member.wire]
        outboxes.remove(member.outbox)
        roster.unseen.pop(member.outbox, None)
        if not outboxes:
            del roster.outboxes[member.wire]
        return self._drop_if_empty(roster)

    def expect(self, channel: Channel, member: Member) -> JoinBuffer:
        """Keep what the channel says from now on, until the newcomer's snapshot is there."""
        buffer = self._roster(channel).arriving[member.outbox] = JoinBuffer()
        return buffer

    def admit(
        self, channel: Channel, member: Member, seen: Watermark, passed_on: Position | None = None
    ) -> list[Publication]:
        """The newcomer has its snapshot, which holds what it has `seen`: make it a member.

        `passed_on`: no message up to there comes any more.

        Returned is what it has to be given first: all that was said since `expect`, but for what the snapshot holds.
        """
        roster = self.rosters[channel.address]
        kept = roster.arriving.pop(member.outbox).kept
        self.add(channel, member)
        if passed_on is not None and not roster.passed.epoch:
            roster.passed = Watermark(roster.passed.version, *passed_on)
        rest = seen.rest_of(kept)
        if any(publication.resets for publication in rest):
            seen = Watermark(seen.version)  # it is led into another epoch, or behind a hole: all that comes now is new
        self.skip(channel, member, seen)
        return rest

    def skip(self, channel: Channel, member: Member, seen: Watermark) -> Position:
        """What the member has `seen`, or has been told to read elsewhere, is not for it any more.

        Returned is where it goes on: it may have known more before.
        """
        roster = self.rosters[channel.address]
        seen = seen.with_all_of(roster.unseen.get(member.outbox, NOTHING))
        if seen.beyond(roster.passed):
            roster.unseen[member.outbox] = seen
        return Position(seen.epoch, seen.offset)

    def dismiss(self, channel: Channel, member: Member) -> None:
        """The newcomer does not come in after all."""
        roster = self.rosters[channel.address]
        del roster.arriving[member.outbox]
        self._drop_if_empty(roster)

    def _roster(self, channel: Channel) -> Roster:
        roster = self.rosters.get(channel.address)
        if roster is None:
            roster = self.rosters[channel.address] = Roster(channel)
        return roster

    def _drop_if_empty(self, roster: Roster) -> bool:
        if roster.outboxes or roster.arriving:
            return False
        del self.rosters[roster.channel.address]
        return True

    def statistics(self) -> dict[str, int]:
        return {"sessions": len(self._sessions), "users": len(self._users), "channels": len(self.rosters)}
