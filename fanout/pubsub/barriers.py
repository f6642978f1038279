"""The barriers of one link: nonces that are on their way over its echo channel, and what waits for them.

They are published over the connection by which heads are read, after these. So a nonce that comes back over the link
shows, besides the order, that the heads are those of the server from which the link receives.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from .link_state import BARRIER_PREFIX

PublishNonce = Callable[[bytes, bytes], "asyncio.Future[Any]"]
"""Publishes on a channel a nonce, over the connection by which heads are read. Done when Redis has confirmed it."""


class Barriers:
    """`publish` publishes a nonce on the echo channel, or returns None while the link does not receive that."""

    def __init__(self, publish: Callable[[bytes], "asyncio.Future[Any] | None"]) -> None:
        self._publish = publish
        self._sent: dict[bytes, asyncio.Future[bool]] = {}  # by their nonces, which have not come back
        self._confirmed: set[bytes] = set()  # nonces of `_sent` that Redis has confirmed
        self._due: set[bytes] = set()  # those of them that were confirmed before the link sent its present nonce
        self._next: asyncio.Future[bool] | None = None  # its nonce is sent at the end of this loop turn
        self._number = 0

    def send(self) -> asyncio.Future[bool]:
        """True once the nonce has come back. False: it never will, or it is not known whether it will."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(self._publish_next)
        return asyncio.shield(self._next)  # shared by all calls of one turn: none may cancel it for the others

    def _publish_next(self) -> None:
        barrier, self._next = self._next, None
        assert barrier is not None
        self._number += 1
        nonce = BARRIER_PREFIX + b"%d" % self._number
        answer = self._publish(nonce)
        if answer is None:
            barrier.set_result(False)
            return
        self._sent[nonce] = barrier
        answer.add_done_callback(partial(self._handle_answer, nonce))

    def _handle_answer(self, nonce: bytes, answer: "asyncio.Future[Any]") -> None:
        if answer.cancelled() or answer.exception() is not None:
            self._end(nonce, False)
        elif nonce in self._sent:
            self._confirmed.add(nonce)

    def handle_nonce(self, nonce: bytes) -> None:
        """It has come back over the link."""
        self._end(nonce, True)

    def begin_echo(self) -> None:
        """The link sends a nonce of its own now."""
        self._due = set(self._confirmed)

    def end_echo(self) -> None:
        """That has come back. What was confirmed before it was sent, and has not come back, is on another server."""
        for nonce in self._due & self._sent.keys():
            self._end(nonce, False)

    def fail(self) -> None:
        """The nonces that have not come back never will."""
        for nonce in tuple(self._sent):
            self._end(nonce, False)

    def _end(self, nonce: bytes, succeeded: bool) -> None:
        self._confirmed.discard(nonce)
        if barrier := self._sent.pop(nonce, None):
            barrier.set_result(succeeded)
