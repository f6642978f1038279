"""How many sessions an owner may have: the settings, and the limits that single agents have been given."""

import asyncio
from collections.abc import Callable

from ...shared.channels import Owner, OwnerKind
from ...shared.codes import CloseCode
from ...shared.policy import Limit, LimitPolicy
from ...shared.sessions import SessionInfo
from ..control.requests import Evict, Notice
from .calls import LeaseCalls, Surplus
from .lease import incarnation_of

CLOSE_SECONDS = 2.0
"""For the nodes to close the sessions that a new limit leaves no room for; `set` then returns, whatever is left."""
POLL_SECONDS = 0.05
"""Between two looks at whether they are closed. Each sends the notices again, since a notice may get lost."""


class Limits:
    """`send_notice` sends a notice to the process of an incarnation."""

    def __init__(
        self, calls: LeaseCalls, *, defaults: dict[OwnerKind, Limit], send_notice: Callable[[str, Notice], None]
    ) -> None:
        self._calls = calls
        self._defaults = defaults
        self._send_notice = send_notice

    def default(self, kind: OwnerKind) -> Limit:
        """The limit of owners that have not been given one of their own."""
        return self._defaults[kind]

    async def set(self, owner: Owner, limit: Limit) -> int:
        """Give an owner a limit of its own; the number of sessions that are closed for it. Raises Unavailable."""
        closed: set[str] = set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLOSE_SECONDS
        while True:
            surplus = await self._calls.set_limit(owner, limit)
            closed.update(surplus.leases)
            self.close_surplus(owner, surplus)
            if not surplus.leases or loop.time() > deadline:
                return len(closed)
            await asyncio.sleep(POLL_SECONDS)

    def close_surplus(self, owner: Owner, surplus: Surplus) -> None:
        """Ask the nodes to close these sessions. Under `reject` the clients may come back, and try again."""
        code = CloseCode.TRY_AGAIN_LATER if surplus.policy is LimitPolicy.REJECT else CloseCode.EVICTED
        for name in surplus.leases:
            self._send_notice(incarnation_of(name), Evict(owner, name, code, surplus.count, ""))

    async def list_sessions(self, owner: Owner) -> tuple[Limit, list[SessionInfo]]:
        """The limit that holds for an owner, and its sessions, oldest first. Raises Unavailable and MalformedBytes."""
        return await self._calls.list_sessions(owner, self._defaults[owner.kind])
