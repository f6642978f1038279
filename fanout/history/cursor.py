"""One channel's place on this node, without I/O: each message goes on once, in the order of its offsets, or it is told.

What comes over the link may have holes, since Redis' pub/sub forgets whoever is not connected, and repeats, since the
log may have been read meanwhile. What has been passed on has none. A hole is filled from the log; live messages wait
behind it, within bounds. Where it can't be filled the channel says `resync`, and goes on behind the hole.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from itertools import dropwhile

from ...shared.publication import Position, Publication
from .reader import HistoryPage

WAITING_MAX = 1000
WAITING_MAX_BYTES = 1024 * 1024
"""Of messages behind a hole, as JSON. Beyond either they are dropped, and read from the log in their turn."""

RESTARTED = "the history of this channel has begun anew"
TRIMMED = "messages were lost, and history does not reach back that far"
TOO_LATE = "messages were lost, and history could not be read in time"


class CursorState(Enum):
    UNKNOWN = auto()  # nobody has been told a position yet; what comes is kept until the first one is known
    FOLLOWING = auto()  # all up to `offset` has been passed on
    FILLING = auto()  # and something behind it is missing


class Cursor:
    """Every method returns what may be delivered now, in order. `reset` makes the publication that says `resync`.

    While `state` is FILLING, whoever owns the cursor reads the log after `offset` and brings what it `found`.
    """

    __slots__ = (
        "_former",
        "_lacking",
        "_reset",
        "_waiting",
        "_waiting_bytes",
        "duplicates",
        "epoch",
        "offset",
        "state",
        "unplaced",
    )

    def __init__(self, reset: Callable[[Position, str], Publication]) -> None:
        self.state = CursorState.UNKNOWN
        self.epoch = ""
        self.offset = 0
        self.duplicates = 0
        self.unplaced = False
        """Somebody hears the channel who could not be told a position."""
        self._former: str | None = None  # the epoch before this one
        self._reset = reset
        self._waiting: deque[Publication] = deque()
        self._waiting_bytes = 0
        self._lacking = 0  # the highest offset that is known to exist and is neither passed on nor waiting

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    # ---- from the link

    def take(self, message: Publication) -> list[Publication]:
        """A numbered message has come."""
        if self.state is CursorState.UNKNOWN:
            self._wait(message)
            return []
        if message.epoch == self._former:
            return []  # still on its way when the log told of the new epoch; it was told to be missing
        if message.epoch != self.epoch:
            return [self._restart(Position(message.epoch, message.offset - 1)), *self.take(message)]
        if message.offset <= self.offset:
            self.duplicates += 1
            return []
        if self.state is CursorState.FOLLOWING and message.offset == self.offset + 1:
            self.offset = message.offset
            return [message]
        self.state = CursorState.FILLING
        self._wait(message)
        return []

    def _wait(self, message: Publication) -> None:
        self._waiting.append(message)
        self._waiting_bytes += len(message.encoded.json)
        if len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_MAX_BYTES:
            if self.state is not CursorState.UNKNOWN:
                self._lacking = message.offset
            self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0

    # ---- from the log

    def known(self, head: Position) -> list[Publication]:
        """Where the channel is, asked after its subscription was confirmed: all above comes over the link."""
        if self.state is not CursorState.UNKNOWN:
            return []
        self.epoch, self.offset = head
        self.state = CursorState.FOLLOWING
        # What is of another epoch and came before is older. Alone it may be newer: then the barrier finds that out.
        waited = tuple(dropwhile(lambda message: message.epoch != head.epoch, self._waiting))
        self._forget_waiting()
        told = [self._reset(head, TOO_LATE)] if self.unplaced else []
        self.unplaced = False
        for message in waited:
            told += self.take(message)
        return told

    def proven(self, head: Position) -> list[Publication]:
        """All that was published up to `head` must have come by now."""
        if self.state is CursorState.UNKNOWN:
            return self.known(head)
        if head.epoch != self.epoch:
            return [self._restart(head)]
        if head.offset > self.offset and self.state is CursorState.FOLLOWING:
            self.state = CursorState.FILLING
            self._lacking = head.offset
        return []

    def found(self, page: HistoryPage) -> list[Publication]:
        """The log after `offset`, read while this was FILLING. It goes on with what it can't have."""
        if self.state is not CursorState.FILLING:
            return []
        if page.head.epoch != self.epoch:
            return [self._restart(page.head)]
        before, told = self.offset, self._go_on(page.entries)
        if page.is_complete and page.head.offset > self.offset:
            told.append(self._skip(page.head.offset))  # the log is gone, the head is not
        told += self._go_on_with_waiting()
        if self.state is CursorState.FILLING and self.offset == before:
            told += self.give_up()  # the log knows nothing of what the link has brought: no second reading will help
        return told

    def give_up(self) -> list[Publication]:
        """The hole can't be filled: say so, and go on behind it."""
        if self.state is not CursorState.FILLING:
            return []
        told: list[Publication] = []
        while self.state is CursorState.FILLING:
            told.append(self._skip(self._waiting[0].offset - 1 if self._waiting else self._lacking, TOO_LATE))
            told += self._go_on_with_waiting()
        return told

    # ---- all of them

    def _go_on(self, messages: Iterable[Publication]) -> list[Publication]:
        """Pass on what is not passed on yet; where something is missing between them, say so."""
        told: list[Publication] = []
        for message in messages:
            if message.offset > self.offset + 1:
                told.append(self._skip(message.offset - 1))
            if message.offset == self.offset + 1:
                self.offset = message.offset
                told.append(message)
        return told

    def _go_on_with_waiting(self) -> list[Publication]:
        """Up to the next hole. Without one, the channel is followed again."""
        told: list[Publication] = []
        while self._waiting and self._waiting[0].offset <= self.offset + 1:
            message = self._waiting.popleft()
            self._waiting_bytes -= len(message.encoded.json)
            told += self._go_on((message,))
        if not self._waiting and self._lacking <= self.offset:
            self.state = CursorState.FOLLOWING
            self._lacking = 0
        return told

    def _skip(self, offset: int, reason: str = TRIMMED) -> Publication:
        self.offset = offset
        return self._reset(self.position, reason)

    def _restart(self, head: Position) -> Publication:
        """Another epoch: what waited for the old one is told to be missing with all the rest of it."""
        self._forget_waiting()
        self._lacking = 0
        self.state = CursorState.FOLLOWING
        self._former = self.epoch
        self.epoch, self.offset = head
        return self._reset(head, RESTARTED)
