"""The sockets of one channel on this node, and the merge of snapshot and stream for those that join it.

**The problem.** A session that joins a channel gets a *snapshot*: its position in the history with the messages it has
missed and, in a room, the users that are present. It then gets the *stream*: all later events of the channel. The
snapshot comes over one connection to Redis, the stream over another (the link), so either can be ahead of the other
when the session becomes a member.

**The invariant.** A member is given every event of the channel behind its snapshot exactly once and in order, and no
event that its snapshot contains. The snapshot is a `Watermark`, so "contains" is one comparison.

**The merge**, in the order in which it happens:

1. *The stream begins before the snapshot is read.* Once the subscription is confirmed, `Hub.begin_join` puts a
   `JoinBuffer` into `Roster.joining`. From then on `begin_delivery` copies what the roster delivers into the buffer.
   So no event is missed: each is in the snapshot, in the buffer, or delivered later.
2. *The stream is ahead of the snapshot*: the buffer holds events that the snapshot lacks, and events that it contains.
   `Hub.complete_join` returns the former (`Watermark.not_seen_of`); they are sent behind the snapshot.
3. *The snapshot is ahead of the stream*: it contains events that the link will only bring later. `Roster.delivered` is
   the watermark of what all members have been given. If the snapshot is ahead of it, `complete_join` notes the
   snapshot's watermark in `Roster.ahead`, and deliveries leave out for this member what is up to there.
   `complete_delivery` raises `delivered` and forgets each entry of `ahead` that it has reached. So `ahead` is empty
   nearly always, and then a delivery costs nothing for it.

`complete_join` is synchronous, and the caller sends the snapshot and what it returns before anything else is delivered:
between reading the buffer and becoming a member no event can slip through.

**New epochs.** A `resync` in the stream leads all members into another epoch. Offsets of two epochs do not compare, so
a member that meets one while it is ahead knows nothing of the new epoch: its watermark keeps the version alone, unless
its snapshot was of the new epoch already.

**Bounds.** A buffer holds `JOIN_BUFFER_MAX_PUBLICATIONS` and `JOIN_BUFFER_MAX_BYTES`. Beyond that it drops the oldest,
and the session gets a `resync` with the position at which its stream begins.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from ...shared.channels import Channel
from ...shared.codes import CloseCode
from ...shared.names import UserId
from ...shared.publication import Publication
from ..protocols.encoding import Encoding
from ..protocols.session import Session
from .outbox import Outbox
from .stream_table import StreamTable
from .watermark import NOTHING_SEEN, Watermark

JOIN_BUFFER_MAX_PUBLICATIONS = 1000
JOIN_BUFFER_MAX_BYTES = 1024 * 1024
"""Bytes of the publications in one join buffer, as JSON."""


class Member(Protocol):
    """A connection, as the hub and those who find it there see it."""

    @property
    def session(self) -> Session: ...
    @property
    def connected_at(self) -> float:
        """Seconds since 1970."""
        ...

    @property
    def outbox(self) -> Outbox: ...
    @property
    def encoding(self) -> Encoding: ...
    @property
    def user_id(self) -> UserId: ...
    @property
    def is_open(self) -> bool:
        """Between `welcome` and `bye`."""
        ...

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        """Send `bye` and close; `retry_after` is in seconds. Nothing is delivered any more."""
        ...


class JoinBuffer:
    """What a channel delivers while one session joins it."""

    __slots__ = ("_bytes", "overflowed", "publications")

    def __init__(self) -> None:
        self.publications: deque[Publication] = deque()
        self.overflowed = False
        """Whether the oldest publications have been dropped."""
        self._bytes = 0

    def extend(self, publications: Iterable[Publication]) -> None:
        buffered = self.publications
        for publication in publications:
            buffered.append(publication)
            self._bytes += len(publication.encoded.json)
        while len(buffered) > JOIN_BUFFER_MAX_PUBLICATIONS or self._bytes > JOIN_BUFFER_MAX_BYTES:
            self._bytes -= len(buffered.popleft().encoded.json)
            self.overflowed = True


class Roster:
    """The sockets of one channel on this node, by encoding: a delivery is framed once for each of them.

    `len` counts members. A roster to which sessions only are joining exists and has the length 0.
    """

    __slots__ = ("_version", "ahead", "channel", "delivered", "joining", "outboxes", "streams", "streams_asked")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.outboxes: dict[Encoding, set[Outbox]] = {}
        self.joining: dict[Outbox, JoinBuffer] = {}
        self.ahead: dict[Outbox, Watermark] = {}
        """Members that know later events than the roster has delivered; they are not given those up to there."""
        self.delivered = NOTHING_SEEN
        """What all members have been given."""
        self.streams: StreamTable | None = None
        """The open streams of the channel; None: nothing was heard of any."""
        self.streams_asked = False
        """Redis has been asked which streams are open."""
        self._version = 0
        """The latest version that was taken for delivery."""

    def __len__(self) -> int:
        return sum(map(len, self.outboxes.values()))

    @property
    def version_seen(self) -> int:
        """The latest version that a member has seen; 0: none."""
        return max([self.delivered.version, *(seen.version for seen in self.ahead.values())])

    def take_rising(self, publications: Iterable[Publication]) -> list[Publication]:
        """Return what is to be delivered: presence events that do not lie above those before them are left out.

        The link may have been at another server until now, where the room had a later version.
        `fanout/presence/room_checks.py` says how members learn of what is left out.
        """
        rising: list[Publication] = []
        for publication in publications:
            if publication.version > self._version:
                self._version = publication.version
            elif publication.version:
                continue
            rising.append(publication)
        return rising

    def begin_delivery(self, publications: Iterable[Publication]) -> None:
        """Copy what is being delivered from now on to the sessions that are joining at this moment."""
        for buffer in self.joining.values():
            buffer.extend(publications)

    def complete_delivery(self, end: Watermark, *, resets: bool) -> None:
        """Note that all members have been given everything up to `end`, and forget who is not ahead any more.

        Offsets of an epoch and versions rise: the tracker and the relay let nothing lower pass. `resets`: a `resync`
        was among it.
        """
        if end == NOTHING_SEEN:
            return
        version, epoch, offset = end
        before = self.delivered
        self.delivered = Watermark(version or before.version, epoch or before.epoch, offset if epoch else before.offset)
        if self.ahead:
            if resets:  # members of another epoch were led into this one
                now = self.delivered.epoch
                self.ahead = {
                    outbox: seen if seen.epoch == now else Watermark(seen.version)
                    for outbox, seen in self.ahead.items()
                }
            self.ahead = {outbox: seen for outbox, seen in self.ahead.items() if seen.is_ahead_of(self.delivered)}
        if resets and self.streams is not None:
            self.streams.ask_all()

    def find_session(self, session_id: str) -> tuple[Encoding, Outbox] | None:
        """Return the outbox of one session by a linear search; for rosters as small as an agent's."""
        for encoding, outboxes in self.outboxes.items():
            for outbox in outboxes:
                if outbox.session_id == session_id:
                    return encoding, outbox
        return None
