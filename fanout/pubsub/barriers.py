"""The barriers of one link: nonces that are on their way over its echo channel, and what waits for them."""

import asyncio
from collections.abc import Callable

from .link_state import BARRIER_PREFIX


class Barriers:
    """`publish` publishes a nonce on the echo channel, or returns False without a connection."""

    def __init__(self, publish: Callable[[bytes], bool]) -> None:
        self._publish = publish
        self._sent: dict[bytes, asyncio.Future[bool]] = {}  # by their nonces, which have not come back
        self._next: asyncio.Future[bool] | None = None  # its nonce is sent at the end of this loop turn
        self._number = 0

    def send(self) -> asyncio.Future[bool]:
        """True once the nonce has come back. False: the connection was lost."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(self._publish_next)
        return asyncio.shield(self._next)  # shared by all calls of one turn: none may cancel it for the others

    def _publish_next(self) -> None:
        barrier, self._next = self._next, None
        assert barrier is not None
        self._number += 1
        nonce = BARRIER_PREFIX + b"%d" % self._number
        if self._publish(nonce):
            self._sent[nonce] = barrier
        else:
            barrier.set_result(False)

    def handle_nonce(self, nonce: bytes) -> None:
        """It has come back over the link."""
        if barrier := self._sent.pop(nonce, None):
            barrier.set_result(True)

    def fail(self) -> None:
        """The nonces that have not come back never will."""
        sent, self._sent = self._sent, {}
        for barrier in sent.values():
            barrier.set_result(False)
