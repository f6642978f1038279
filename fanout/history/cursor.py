"""The position of one channel on this node, without I/O: each message is delivered once, in the order of offsets.

The link may miss messages, since Redis' pub/sub keeps none for clients that are not connected, and may repeat them,
since history may have been read meanwhile. The deliveries of a cursor have neither: a hole is filled from history while
live messages wait behind it, within bounds. Where a hole can't be filled, the channel gets a `resync` and goes on
behind it.

What happens to a numbered message, or to the head of history, by the state of the cursor:

    state      message                                    head, after a barrier           page of history
    UNKNOWN    waits                                      becomes the position            ignored
    FOLLOWING  next: delivered; ahead: waits → FILLING    ahead: → FILLING                ignored
    FILLING    ahead: waits                               ignored                         delivered; no hole → FOLLOWING

In FOLLOWING and FILLING a message that is not ahead of the position is a duplicate and is dropped; a message or head of
another epoch restarts the cursor there with a `resync`; messages of the epoch before are dropped. A page of another
epoch is ignored: it may come from a server that the link has left.

Invariants: all messages up to `offset` were delivered, or a `resync` says that they may be missing. Waiting messages
are in ascending order and ahead of `offset`. In FILLING, something ahead of `offset` is waiting or `_missing_up_to` it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from itertools import dropwhile

from ...shared.channels import Channel
from ...shared.publication import Position, Publication
from .reader import HistoryPage

WAITING_MAX = 1000
"""Messages that wait behind a hole. Beyond either bound they are dropped, and read from history when it is filled."""
WAITING_MAX_BYTES = 1024 * 1024
"""Bytes of their JSON."""

RESTARTED = "the history of this channel has begun anew"
TRIMMED = "messages were lost, and history does not reach back that far"
TOO_LATE = "messages were lost, and history could not be read in time"


class CursorState(Enum):
    UNKNOWN = auto()  # no client knows a position yet; messages wait until the first head is read
    FOLLOWING = auto()  # all messages up to `offset` were delivered, and none ahead of it is known
    FILLING = auto()  # a message ahead of `offset` is missing


class Cursor:
    """Every method returns what may be delivered now, in order. `reset` makes the publication of a `resync`.

    While `state` is FILLING, the owner reads history after `offset` and passes the page to `handle_page`.
    """

    __slots__ = (
        "_former_epoch",
        "_missing_up_to",
        "_read_up_to",
        "_reset",
        "_waiting",
        "_waiting_bytes",
        "epoch",
        "has_lost_data",
        "offset",
        "reset_on_start",
        "state",
    )

    def __init__(self, reset: Callable[[Position, str], Publication]) -> None:
        self.state = CursorState.UNKNOWN
        self.epoch = ""
        self.offset = 0
        self.reset_on_start = False
        """A session was admitted without a position: the channel gets a `resync` once the position is known."""
        self.has_lost_data = False
        """The link has brought two messages with one offset: Redis has lost the first, without a new epoch."""
        self._former_epoch: str | None = None
        self._reset = reset
        self._waiting: deque[Publication] = deque()
        self._waiting_bytes = 0
        self._read_up_to = 0  # what history gave, and the link may bring too; behind it, all came over the link once
        self._missing_up_to = 0  # the highest offset that is known to exist and neither delivered nor waiting

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    # ---- from the link

    def handle_message(self, message: Publication) -> list[Publication]:
        """A numbered message has come. (ChannelTracker.deliver_batch handles the common case itself.)"""
        if self.state is CursorState.UNKNOWN:
            self._wait(message)
            return []
        if message.epoch == self._former_epoch:
            return []  # it was in transit when the new epoch was found, and is covered by the `resync` of that
        if message.epoch != self.epoch:
            return [self._restart(Position(message.epoch, message.offset - 1)), *self.handle_message(message)]
        if message.offset <= self.offset:
            self.has_lost_data |= message.offset > self._read_up_to
            return []
        if self.state is CursorState.FOLLOWING and message.offset == self.offset + 1:
            self.offset = message.offset
            return [message]
        self.state = CursorState.FILLING
        self._wait(message)
        return []

    def _wait(self, message: Publication) -> None:
        if self.state is CursorState.FILLING and self._waiting:
            self.has_lost_data |= message.offset <= self._waiting[-1].offset
        self._waiting.append(message)
        self._waiting_bytes += len(message.encoded.json)
        if len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_MAX_BYTES:
            if self.state is not CursorState.UNKNOWN:
                self._missing_up_to = message.offset
            self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    # ---- from history

    def start_at(self, head: Position) -> list[Publication]:
        """The head, read after the subscription was acknowledged: all messages ahead of it come over the link."""
        if self.state is not CursorState.UNKNOWN:
            return []
        self.epoch, self.offset = head
        self._read_up_to = head.offset
        self.state = CursorState.FOLLOWING
        # Waiting messages of another epoch in front of those of this one are older. If all are of another epoch, it may
        # be a newer one: the next barrier finds that out.
        waited = tuple(dropwhile(lambda message: message.epoch != head.epoch, self._waiting))
        self._forget_waiting()
        deliveries = [self._reset(head, TOO_LATE)] if self.reset_on_start else []
        self.reset_on_start = False
        for message in waited:
            deliveries += self.handle_message(message)
        return deliveries

    def handle_barrier(self, head: Position) -> list[Publication]:
        """A barrier has ended that began after this head was read: all messages up to it came, or were lost."""
        if self.state is CursorState.UNKNOWN:
            return self.start_at(head)
        if head.epoch != self.epoch:
            return [self._restart(head)]
        if head.offset > self.offset and self.state is CursorState.FOLLOWING:
            self.state = CursorState.FILLING
            self._missing_up_to = head.offset
        return []

    def handle_page(self, page: HistoryPage) -> list[Publication]:
        """History after `offset`, read while this was FILLING. Where history can't have what is missing, it goes on."""
        if self.state is not CursorState.FILLING or page.head.epoch != self.epoch:
            return []
        self._read_up_to = page.head.offset  # not only the page's end: the link may bring all of it
        before, deliveries = self.offset, self._advance(page.entries)
        if page.is_complete and page.head.offset > self.offset:
            deliveries.append(self._skip(page.head.offset))  # the entries were trimmed, the head was not
        deliveries += self._deliver_waiting()
        if self.state is CursorState.FILLING and self.offset == before:
            # History lacks what the link has brought, so to read it once more would not help.
            deliveries += self.give_up()
        return deliveries

    def give_up(self) -> list[Publication]:
        """The hole can't be filled: report it by a `resync`, and go on behind it."""
        if self.state is not CursorState.FILLING:
            return []
        deliveries: list[Publication] = []
        while self.state is CursorState.FILLING:
            skip_to = self._waiting[0].offset - 1 if self._waiting else self._missing_up_to
            deliveries.append(self._skip(skip_to, TOO_LATE))
            deliveries += self._deliver_waiting()
        return deliveries

    # ---- from both

    def resync(self) -> Publication:
        """Lead to its position whoever is in another epoch."""
        return self._reset(self.position, RESTARTED)

    def _advance(self, messages: Iterable[Publication]) -> list[Publication]:
        """Deliver messages that were not delivered yet, with a `resync` where one is missing between them."""
        deliveries: list[Publication] = []
        for message in messages:
            if message.offset > self.offset + 1:
                deliveries.append(self._skip(message.offset - 1))
            if message.offset == self.offset + 1:
                self.offset = message.offset
                deliveries.append(message)
        return deliveries

    def _deliver_waiting(self) -> list[Publication]:
        """Deliver waiting messages up to the next hole. If there is none, the state is FOLLOWING again."""
        deliveries: list[Publication] = []
        while self._waiting and self._waiting[0].offset <= self.offset + 1:
            message = self._waiting.popleft()
            self._waiting_bytes -= len(message.encoded.json)
            deliveries += self._advance((message,))
        if not self._waiting and self._missing_up_to <= self.offset:
            self.state = CursorState.FOLLOWING
            self._missing_up_to = 0
        return deliveries

    def _skip(self, offset: int, reason: str = TRIMMED) -> Publication:
        self.offset = offset
        self._read_up_to = max(self._read_up_to, offset)
        return self._reset(self.position, reason)

    def _restart(self, head: Position) -> Publication:
        """Go on in another epoch. Messages that waited for the old one are covered by the same `resync`."""
        self._forget_waiting()
        self._missing_up_to = 0
        self.state = CursorState.FOLLOWING
        self._former_epoch = self.epoch
        self.epoch, self.offset = head
        self._read_up_to = head.offset
        self.has_lost_data = False
        return self._reset(head, RESTARTED)


class TrackedChannel:
    """A channel with its cursor, and the state of the hole that is being filled."""

    __slots__ = ("channel", "cursor", "hole_since", "is_queued", "partition", "strayed")

    def __init__(self, channel: Channel, cursor: Cursor) -> None:
        self.channel = channel
        self.partition = channel.partition  # that is a checksum of its name
        self.cursor = cursor
        self.hole_since: float | None = None  # monotonic seconds; None: there is no hole
        self.is_queued = False  # its history is being read, or will be
        self.strayed: str | None = None  # a session has begun in this epoch, which was not that of the cursor
