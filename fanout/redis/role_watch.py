"""Is the server at the other end a master, and still the right one?

A replica takes connections, subscriptions and even PUBLISH like a master: whoever talks to one hears nobody and is
heard by nobody, and no command fails. Sentinels cut the connections of a master that they demote, but only if they can
reach it, and an operator who says REPLICAOF cuts none. So each connection asks for the role by itself, now and then.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

ROLE_PERIOD = 1.0
PATIENCE = 2
"""Periods after which a server that has not answered is given up. Two: a process that wakes from a freeze of its own
runs its timers before it reads what has come in."""

_log = structlog.get_logger("tannoy.redis")

NO_MASTER_CODES = frozenset(("READONLY", "LOADING", "MASTERDOWN"))
"""Codes of errors by which a server says, in reply to any command, that it is not, or not yet, a master."""


def why_not_master(role: Any) -> str | None:
    """What the answer to ROLE says against its server; None: it is a master."""
    match role:
        case [b"master", *_]:
            return None
        case [b"slave", bytes() as host, port, *_]:
            return f"is a replica of {host.decode()}:{port}, and a node needs the master"
        case [b"sentinel", *_]:
            return "is a Sentinel: its URL begins with redis+sentinel://"
        case _:
            return f"does not say what it is: {role!r}"


class RoleWatch:
    """Asks a server each ROLE_PERIOD what it is, and leaves it when it is no master any more, or silent.

    `ask` sends ROLE; `is_heard` tells whether answers are read at all; `moved` gives a reason to leave that the server
    itself does not know of; `leave` is told why, once.
    """

    def __init__(
        self,
        *,
        ask: Callable[[], "asyncio.Future[Any]"],
        is_heard: Callable[[], bool],
        moved: Callable[[], str | None],
        leave: Callable[[str], None],
    ) -> None:
        self._ask = ask
        self._is_heard = is_heard
        self._moved = moved
        self._leave = leave
        self._asked: asyncio.Future[Any] | None = None
        self._silent_for = 0
        self._timer: asyncio.TimerHandle | None = None
        self._look_later()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(ROLE_PERIOD, self._look)

    def _look(self) -> None:
        self._look_later()
        if (reason := self._moved()) is not None:
            self._give_up(reason)
        elif not self._is_heard():
            self._silent_for = 0  # we do not listen, so silence proves nothing
        elif self._asked is None or self._asked.done():
            self._silent_for = 0
            self._asked = self._ask()
            self._asked.add_done_callback(self._told)
        else:
            self._silent_for += 1
            if self._silent_for == PATIENCE:
                self._give_up("does not answer any more")

    def _told(self, role: "asyncio.Future[Any]") -> None:
        if role.cancelled():
            return
        error = role.exception()  # looked at in any case: otherwise asyncio complains that nobody has
        if self._timer is None:
            return
        reason = why_not_master(role.result()) if error is None else str(error)
        if reason is not None:
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self.stop()
        self._leave(reason)
