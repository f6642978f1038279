"""The connections of a node's clients that are no sessions: their number is bounded, beside NODE_MAX_SESSIONS.

They are connections over which HTTP is spoken, or nothing yet, and those of refused clients until they have gone.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...shared.clock import Clock
from .counted_addresses import find_counted_address

OTHERS_MAX = 8_192
"""Connections of a node that are no sessions: twice the backlog of a listener, all of which may be accepted before the
first handshake among them has been read."""
ADDRESS_OTHERS_MAX = 4_096
"""Those of one client address that wait for it, handshakes that have not been sent among them: half of all, so that no
address alone keeps others out, and as many as a backlog holds, for the clients of a proxy that is not known as one."""
WAIT_MIN = 1.0
"""Seconds that a client is given in any case for its next request, or its close frame."""


class OtherConnection(Protocol):
    """A connection that is no session."""

    def close_waiting(self) -> None:
        """Close the connection, which waits for its client: another one needs its place."""
        ...


_Waiting = OrderedDict[OtherConnection, float]
"""Since when each connection waits; the longest wait is in front."""


@dataclass(frozen=True, slots=True)
class OtherStatistics:
    open: int
    """Connections that are no sessions."""
    waiting: int
    """Those of them that wait for their client."""
    closed: int
    """Connections that were closed for others, so far."""
    addresses: int
    """Client addresses of those that wait; those of this machine are not counted."""


class OtherConnections:
    """A connection waits for its client (the next request, the rest of one, a close frame), or is being answered.

    When there are OTHERS_MAX, a newcomer takes the place of the one that has waited longest, so that nobody keeps
    newcomers out by connections that say nothing. If none has waited for WAIT_MIN, the newcomer is refused. The same
    holds among those of one address that wait. `find_address`: by which a peer counts, of its host; None: it does not.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        maximum: int = OTHERS_MAX,
        address_maximum: int = ADDRESS_OTHERS_MAX,
        find_address: Callable[[str | None], bytes | None] = find_counted_address,
    ) -> None:
        self._clock = clock
        self._maximum = maximum
        self._address_maximum = address_maximum
        self._find_address = find_address
        self._waiting: _Waiting = OrderedDict()
        self._answered: set[OtherConnection] = set()
        self._addresses: dict[OtherConnection, bytes] = {}
        self._waiting_of: dict[bytes, _Waiting] = {}
        self._closed = 0

    def add(self, connection: OtherConnection, peer_host: str | None = None) -> bool:
        """Add a connection, which waits for its client. False: there is no place for it, and it was not added."""
        now, address = self._clock.monotonic(), self._find_address(peer_host)
        beside = None if address is None else self._waiting_of.get(address)
        if beside is not None and len(beside) >= self._address_maximum and not self._close_longest(beside, now):
            return False
        if self.open >= self._maximum and not self._close_longest(self._waiting, now):
            return False
        if address is not None:
            self._addresses[connection] = address
        self._begin_wait(connection, now)
        return True

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._waiting) + len(self._answered)

    def begin_answer(self, connection: OtherConnection) -> None:
        """The request is complete: from now on the client waits for the node."""
        if self._end_wait(connection):
            self._answered.add(connection)

    def end_answer(self, connection: OtherConnection) -> None:
        """The answer has been written: the connection waits for its client again."""
        if connection in self._answered:
            self._answered.discard(connection)
            self._begin_wait(connection, self._clock.monotonic())

    def remove(self, connection: OtherConnection) -> None:
        """The connection has ended, or has become a session. One that was not added is ignored."""
        self._end_wait(connection)
        self._answered.discard(connection)
        self._addresses.pop(connection, None)

    def _begin_wait(self, connection: OtherConnection, now: float) -> None:
        self._waiting[connection] = now
        if (address := self._addresses.get(connection)) is not None:
            self._waiting_of.setdefault(address, OrderedDict())[connection] = now

    def _end_wait(self, connection: OtherConnection) -> bool:
        """Whether it has waited."""
        if self._waiting.pop(connection, None) is None:
            return False
        if (address := self._addresses.get(connection)) is not None:
            beside = self._waiting_of[address]
            del beside[connection]
            if not beside:
                del self._waiting_of[address]
        return True

    def _close_longest(self, waiting: _Waiting, now: float) -> bool:
        if not waiting:
            return False
        longest, since = next(iter(waiting.items()))
        if now - since < WAIT_MIN:
            return False
        self.remove(longest)
        self._closed += 1
        longest.close_waiting()
        return True

    def statistics(self) -> OtherStatistics:
        waiting = len(self._waiting)
        return OtherStatistics(self.open, waiting, self._closed, len(self._waiting_of))
