"""Tells the clients of this node when it is without Redis, and when it has Redis again (docs/protocol.md §4)."""

import asyncio
from collections.abc import Callable

from ...fanout.batches import batched
from ...shared.clock import Clock
from ...shared.protocol.frames import BusState, StatusFrame
from ..delivery.hub import Hub
from ..delivery.relay import SLICE
from ..protocols.encoding import Encoding
from ..protocols.framing import Chunk

DOWN_AFTER = 2.0
"""Seconds that the node has been without Redis when its clients are told."""
CHECK_PERIOD = 0.25
"""Seconds between two looks at the bus."""


class BusStatus:
    """The state of the bus as clients are told it. `update` decides, and does nothing else."""

    def __init__(self) -> None:
        self.state: BusState = "up"
        self._lost_at: float | None = None

    def update(self, now: float, *, is_usable: bool) -> bool:
        """Note whether the node can use the bus `now`, in monotonic seconds; True: `state` has changed."""
        before = self.state
        if is_usable:
            self.state, self._lost_at = "up", None
        elif self._lost_at is None:
            self._lost_at = now
        elif now - self._lost_at > DOWN_AFTER:
            self.state = "down"
        return self.state != before


class StatusBroadcast:
    """Sends `status` to all sessions of the node between `welcome` and `bye`. Needs `run` running.

    A session that opens while the bus is down is told by its connection. `fence_if_expired` closes the sessions whose
    leases have expired.
    """

    def __init__(
        self,
        status: BusStatus,
        hub: Hub,
        *,
        is_usable: Callable[[], bool],
        fence_if_expired: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self.status = status
        self._hub = hub
        self._is_usable = is_usable
        self._fence_if_expired = fence_if_expired
        self._clock = clock

    async def run(self) -> None:
        """Look at the bus every CHECK_PERIOD. Never returns."""
        while True:
            await asyncio.sleep(CHECK_PERIOD)
            if self.status.update(self._clock.monotonic(), is_usable=self._is_usable()):
                await self._send_to_all()

    async def _send_to_all(self) -> None:
        frame, chunks = StatusFrame(self.status.state), dict[Encoding, Chunk]()
        for members in batched(tuple(self._hub.sessions()), SLICE):
            self._fence_if_expired()
            for member in members:
                if member.is_open:
                    encoding = member.encoding
                    chunk = chunks.get(encoding) or chunks.setdefault(encoding, encoding.frame(frame))
                    member.outbox.write_direct(chunk)
            await asyncio.sleep(0)
