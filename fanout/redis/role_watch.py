"""Check once a second that the server of a connection is still a master, and still the right one.

A replica accepts connections, SUBSCRIBE and even PUBLISH like a master, but does not pass messages on to the master's
clients: a node connected to one would be cut off without an error. Sentinels close the connections of a master that
they demote, but only if they can reach it, and REPLICAOF by an operator closes none. So each connection sends ROLE.

Some managed services have no ROLE, and show no replica to their clients. There each connection sends PING instead: a
server that does not answer is still given up, and so is one that refuses a write because it is a replica (READONLY).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ...shared.logs import get_logger
from .errors import RedisError

ROLE_PERIOD = 1.0
"""Seconds between two ROLE commands, or PING in their stead, on a connection."""
UNANSWERED_MAX = 2
"""Periods without an answer after which the connection is given up. Two, because a process that resumes from being
suspended runs its timers before it reads what has come in meanwhile."""

_log = get_logger("tannoy.redis")

NO_MASTER_CODES = frozenset(("READONLY", "LOADING", "MASTERDOWN"))
"""Codes of errors by which a server says, in reply to any command, that it is not, or not yet, a master."""


def tells_role(reply: Any) -> bool:
    """Whether the reply to ROLE says what the server is. An error, or a reply of another form, says nothing."""
    match reply:
        case [b"master" | b"slave" | b"replica" | b"sentinel", *_]:
            return True
        case _:
            return False


def why_not_master(role: Any) -> str | None:
    """Why the reply to ROLE is that of no master; None: it may be one. The text continues a sentence on the server."""
    match role:
        case [b"slave" | b"replica", bytes() as host, port, *_]:
            return f"is a replica of {host.decode(errors='replace')}:{port}, and a node needs the master"
        case [b"slave" | b"replica", *_]:
            return "is a replica, and a node needs the master"
        case [b"sentinel", *_]:
            return "is a Sentinel: its URL begins with redis+sentinel://"
        case _:
            return None


class RoleWatch:
    """Sends ROLE each ROLE_PERIOD, and gives the connection up if its server is no master any more or does not answer.

    `query` sends one command without arguments; `asks_role` is False where the server has refused ROLE: then PING is
    sent. `is_reading` says whether replies are read at all; `why_moved` returns a reason to leave that the server
    itself does not know of, or None; `give_up` is called once, with the reason.
    """

    def __init__(
        self,
        *,
        query: Callable[[str], "asyncio.Future[Any]"],
        asks_role: bool,
        is_reading: Callable[[], bool],
        why_moved: Callable[[], str | None],
        give_up: Callable[[str], None],
    ) -> None:
        self._query = query
        self._asks_role = asks_role
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
            self._reply = self._query("ROLE" if self._asks_role else "PING")
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
        if not self._asks_role:
            reason = None if error is None else str(error)
        elif error is None:
            role = reply.result()
            reason = why_not_master(role)
            if not tells_role(role):
                self._ask_no_more(f"{role!r:.80}")
        elif isinstance(error, RedisError) and error.code not in NO_MASTER_CODES:
            reason = None
            self._ask_no_more(str(error))
        else:
            reason = str(error)
        if reason is not None:
            self._stop_and_give_up(reason)

    def _ask_no_more(self, reply: str) -> None:
        self._asks_role = False
        _log.warning("Redis does not tell its role any more: sending PING instead", reply=reply)

    def _stop_and_give_up(self, reason: str) -> None:
        self.stop()
        self._give_up(reason)
