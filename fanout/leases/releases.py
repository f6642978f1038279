"""Releases that Redis has not confirmed: sent again until it has, so that no lease stays held without a session."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from ...shared.channels import Owner
from ...shared.errors import Unavailable
from ...shared.sessions import CloseOrder
from ..control.requests import LeaseGranted, Notice
from ..redis.connection import Reply
from .calls import LeaseCalls, parse_granted
from .lease import Lease, incarnation_of

AT_ONCE = 500
"""Releases that are in flight together: after an outage thousands may be due, and other commands want to pass too."""
PENDING_MAX = 10_000
"""Releases that are kept. The lease of one beyond that is found and freed by anti-entropy, when it is restated."""


class ReleaseQueue:
    """`send_notice` sends a notice to the process of an incarnation."""

    def __init__(self, calls: LeaseCalls, send_notice: Callable[[str, Notice], None]) -> None:
        self._calls = calls
        self._send_notice = send_notice
        self._pending: dict[str, Lease] = {}
        self._unsent: deque[Lease] = deque()
        self._in_flight = 0

    def __contains__(self, lease: str) -> bool:
        return lease in self._pending

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, lease: Lease) -> None:
        """Release it now, or once Redis takes commands; never twice at a time."""
        if lease.name not in self._pending and len(self._pending) < PENDING_MAX:
            self._pending[lease.name] = lease
            self._unsent.append(lease)
            self.send_pending()

    def add_unknown(self, owner: Owner, name: str) -> None:
        """Release a lease that Redis counts as this process's, and that this process does not have."""
        if name not in self._pending:
            self.add(Lease(owner, name, b"", _ignore, was_requested=True))

    def send_pending(self) -> None:
        """The oldest first, at most AT_ONCE at a time, and only while Redis takes commands."""
        while self._unsent and self._in_flight < AT_ONCE and self._calls.pipeline.connected.is_set():
            lease = self._unsent.popleft()
            self._in_flight += 1
            self._calls.release(lease).add_done_callback(partial(self._on_answer, lease))

    def _on_answer(self, lease: Lease, done: "asyncio.Future[Reply]") -> None:
        self._in_flight -= 1
        if isinstance(done.exception(), Unavailable):
            self._unsent.append(lease)
            return
        del self._pending[lease.name]
        if granted := parse_granted(done.result()):
            self.notify_granted(lease.owner, granted)
        self.send_pending()

    def notify_granted(self, owner: Owner, lease: str) -> None:
        """Tell the process of a waiting lease that Redis has granted it."""
        self._send_notice(incarnation_of(lease), LeaseGranted(owner, lease))


def _ignore(order: CloseOrder) -> None:
    """A lease that only Redis knows has no session to close."""
