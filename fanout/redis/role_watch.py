"""Check once a second that the server of a connection is still a master, and still the right one.

A replica accepts connections, SUBSCRIBE and even PUBLISH like a master, but does not pass messages on to the master's
clients: a node connected to one would be cut off without an error. Sentinels close the connections of a master that
they demote, but only if they can reach it, and REPLICAOF by an operator closes none. So each connection sends ROLE.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

ROLE_PERIOD = 1.0
"""Seconds between two ROLE commands on a connection."""
UNANSWERED_MAX = 2
"""Periods without an answer after which the connection is given up. Two, because a process that resumes from being
suspended runs its timers before it reads what has come in meanwhile."""

_log = structlog.get_logger("tannoy.redis")

NO_MASTER_CODES = frozenset(("READONLY", "LOADING", "MASTERDOWN"))
"""Codes of errors by which a server says, in reply to any command, that it is not, or not yet, a master."""


def why_not_master(role: Any) -> str | None:
    """Why the reply to ROLE is not that of a master; None: it is. The text continues a sentence about the server."""
    match role:
        case [b"master", *_]:
            return None
        case [b"slave", bytes() as host, port, *_]:
            return f"is a replica of {host.decode()}:{port}, and a node needs the master"
        case [b"sentinel", *_]:
            return "is a Sentinel: its URL begins with redis+sentinel://"
        case _:
            return f"answers ROLE with something else: {role!r}"


class RoleWatch:
    """Sends ROLE each ROLE_PERIOD, and gives the connection up if its server is no master any more or does not answer.

    `query_role` sends ROLE; `is_reading` says whether replies are read at all; `why_moved` returns a reason to leave
    that the server itself does not know of, or None; `give_up` is called once, with the reason.
    """

    def __init__(
        self,
        *,
        query_role: Callable[[], "asyncio.Future[Any]"],
        is_reading: Callable[[], bool],
        why_moved: Callable[[], str | None],
        give_up: Callable[[str], None],
    ) -> None:
        self._query_role = query_role
        self._is_reading = is_reading
        self._why_moved = why_moved
        self._give_up = give_up
        self._reply: asyncio.Future[Any] | None = None
        self._unanswered = 0  # periods
        self._timer: asyncio.TimerHandle | None = None
        self._start_timer()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(ROLE_PERIOD, self._check)

    def _check(self) -> None:
        self._start_timer()
        if (reason := self._why_moved()) is not None:
            self._stop_and_give_up(reason)
        elif not self._is_reading():
            self._unanswered = 0  # nothing is read, so a missing reply proves nothing
        elif self._reply is None or self._reply.done():
            self._unanswered = 0
            self._reply = self._query_role()
            self._reply.add_done_callback(self._handle_reply)
        else:
            self._unanswered += 1
            if self._unanswered == UNANSWERED_MAX:
                self._stop_and_give_up("does not answer any more")

    def _handle_reply(self, reply: "asyncio.Future[Any]") -> None:
        if reply.cancelled():
            return
        error = reply.exception()  # retrieved in any case: asyncio logs exceptions that never are
        if self._timer is None:
            return
        reason = why_not_master(reply.result()) if error is None else str(error)
        if reason is not None:
            self._stop_and_give_up(reason)

    def _stop_and_give_up(self, reason: str) -> None:
        self.stop()
        self._give_up(reason)
