"""The connections of a node's clients that are no sessions: their number is bounded, beside NODE_MAX_SESSIONS.

They are connections over which HTTP is spoken, or nothing yet, and those of refused clients until they have gone.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from ...shared.clock import Clock

OTHERS_MAX = 8_192
"""Connections of a node that are no sessions: twice the backlog of a listener, all of which may be accepted before the
first handshake among them has been read."""
WAIT_MIN = 1.0
"""Seconds that a client is given in any case for its next request, or its close frame."""


class OtherConnection(Protocol):
    """A connection that is no session."""

    def close_waiting(self) -> None:
        """Close the connection, which waits for its client: another one needs its place."""
        ...


@dataclass(frozen=True, slots=True)
class OtherStatistics:
    open: int
    """Connections that are no sessions."""
    waiting: int
    """Those of them that wait for their client."""
    closed: int
    """Connections that were closed for others, so far."""


class OtherConnections:
    """A connection waits for its client (the next request, the rest of one, a close frame), or is being answered.

    When there are OTHERS_MAX, a newcomer takes the place of the one that has waited longest, so that nobody keeps
    newcomers out by connections that say nothing. If none has waited for WAIT_MIN, the newcomer is refused.
    """

    def __init__(self, clock: Clock, *, maximum: int = OTHERS_MAX) -> None:
        self._clock = clock
        self._maximum = maximum
        self._waiting: OrderedDict[OtherConnection, float] = OrderedDict()  # since when; the longest wait first
        self._answered: set[OtherConnection] = set()
        self._closed = 0

    def add(self, connection: OtherConnection) -> bool:
        """Add a connection, which waits for its client. False: there is no place for it, and it was not added."""
        now = self._clock.monotonic()
        if len(self._waiting) + len(self._answered) >= self._maximum and not self._close_longest(now):
            return False
        self._waiting[connection] = now
        return True

    def begin_answer(self, connection: OtherConnection) -> None:
        """The request is complete: from now on the client waits for the node."""
        if self._waiting.pop(connection, None) is not None:
            self._answered.add(connection)

    def end_answer(self, connection: OtherConnection) -> None:
        """The answer has been written: the connection waits for its client again."""
        if connection in self._answered:
            self._answered.discard(connection)
            self._waiting[connection] = self._clock.monotonic()

    def remove(self, connection: OtherConnection) -> None:
        """The connection has ended, or has become a session. One that was not added is ignored."""
        self._waiting.pop(connection, None)
        self._answered.discard(connection)

    def _close_longest(self, now: float) -> bool:
        if not self._waiting:
            return False
        longest, since = next(iter(self._waiting.items()))
        if now - since < WAIT_MIN:
            return False
        del self._waiting[longest]
        self._closed += 1
        longest.close_waiting()
        return True

    def statistics(self) -> OtherStatistics:
        waiting = len(self._waiting)
        return OtherStatistics(waiting + len(self._answered), waiting, self._closed)
