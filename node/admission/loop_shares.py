"""Work that comes in bursts, in shares: each turn of the event loop does so much of it, and the rest waits in order.

Where a thousand clients have sent something, the event loop hands all of it over in one turn, and whoever else has a
session would wait until it is done.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

from ...shared.clock import Clock

SHARE_SECONDS = 0.002
"""Of work in one turn; one piece of it may exceed that, and the next one waits."""
SHARE_PIECES = 16
"""Of work in one turn, where a piece goes on in a task, whose time is not measured here."""
WAITING_MAX_BYTES = 4 * 1024 * 1024
"""Of what has been read, and waits."""


class LoopShares:
    """Work has an owner, who has one piece of it at most."""

    def __init__(self, clock: Clock, *, seconds: float = SHARE_SECONDS, pieces: int = SHARE_PIECES) -> None:
        self._clock = clock
        self._seconds = seconds
        self._pieces = pieces
        self._waiting: OrderedDict[Hashable, tuple[Callable[[], None], int]] = OrderedDict()
        self._waiting_bytes = 0
        self._seconds_left, self._pieces_left = seconds, pieces
        self._will_continue = False

    def run(self, owner: Hashable, work: Callable[[], None], size: int = 0) -> bool:
        """Do the work, or let it wait for a later turn. Returns whether it is done. `size`: bytes that it holds."""
        if self._waiting or not self._has_some_left:
            self._waiting[owner] = work, size
            self._waiting_bytes += size
            return False
        self._do(work)
        return True

    def has_room(self, size: int) -> bool:
        """Whether so many bytes may wait beside those that do."""
        return self._waiting_bytes + size <= WAITING_MAX_BYTES

    def remove(self, owner: Hashable) -> None:
        """What waits for this owner is not done."""
        if (removed := self._waiting.pop(owner, None)) is not None:
            self._waiting_bytes -= removed[1]

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return len(self._waiting)

    @property
    def _has_some_left(self) -> bool:
        return self._seconds_left > 0 and self._pieces_left > 0

    def _do(self, work: Callable[[], None]) -> None:
        if not self._will_continue:
            self._will_continue = True
            asyncio.get_running_loop().call_soon(self._begin_turn)
        began = self._clock.monotonic()
        try:
            work()
        finally:
            self._seconds_left -= self._clock.monotonic() - began
            self._pieces_left -= 1

    def _begin_turn(self) -> None:
        self._will_continue = False
        self._seconds_left, self._pieces_left = self._seconds, self._pieces
        while self._waiting and self._has_some_left:
            _, (work, size) = self._waiting.popitem(last=False)
            self._waiting_bytes -= size
            self._do(work)
