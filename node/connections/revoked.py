"""Closes the sessions whose token, user or agent has been revoked: with 4501, and a share of them in each turn."""

import asyncio
from typing import Protocol

import structlog

from ...shared.codes import CloseCode
from ..auth.claims import Claims
from ..delivery.hub import Hub
from ..protocols.session import Session
from .session_limits import agent_of

LOOKED_AT_PER_TURN = 1024
"""Sessions that are looked at in one turn of the event loop."""
CLOSED_PER_TURN = 64
"""Sessions that are closed in one turn of the event loop."""
PAUSE_SECONDS = 0.25
"""Between two passes over all sessions: however many revocations come meanwhile, they are one pass."""

_log = structlog.get_logger("tannoy.connection")


class RevocationChecks(Protocol):
    """What is asked of each session (`fanout/revocations/revocations.py`)."""

    @property
    def has_any(self) -> bool: ...
    def is_revoked(self, user_id: str, token_id: str | None = None) -> bool: ...
    def is_agent_revoked(self, agent_id: str) -> bool: ...


class RevokedSessions:
    """Needs `run` running."""

    def __init__(self, hub: Hub, revocations: RevocationChecks) -> None:
        self._hub = hub
        self._revocations = revocations
        self._is_due = asyncio.Event()

    def close_soon(self) -> None:
        """Something was revoked: close the sessions that it concerns."""
        self._is_due.set()

    async def run(self) -> None:
        """Look at all sessions of the node after each revocation, for ever."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            if closed := await self.close_all():
                _log.info("closed sessions that were revoked", sessions=closed)
            await asyncio.sleep(PAUSE_SECONDS)

    async def close_all(self) -> int:
        """Close every session that is revoked, those before `welcome` too; how many that were.

        One that connects meanwhile is asked about where it is admitted, and when it gets its connection.
        """
        closed = closed_in_turn = 0
        for number, member in enumerate(self._hub.sessions(), 1):
            if self.is_revoked(member.session):
                member.close(CloseCode.BAD_TOKEN)
                closed_in_turn += 1
            if closed_in_turn == CLOSED_PER_TURN or number % LOOKED_AT_PER_TURN == 0:
                await asyncio.sleep(0)
                closed, closed_in_turn = closed + closed_in_turn, 0
        return closed + closed_in_turn

    def is_token_revoked(self, claims: Claims) -> bool:
        """Whether a token, or its user, has been revoked."""
        return self._revocations.is_revoked(claims.user_id, claims.token_id)

    def is_revoked(self, session: Session) -> bool:
        """Whether the user of a session, its token or its agent has been revoked."""
        if not self._revocations.has_any:
            return False
        token_id = None if session.claims is None else session.claims.token_id
        if self._revocations.is_revoked(session.user_id, token_id):
            return True
        agent = agent_of(session)
        return agent is not None and self._revocations.is_agent_revoked(agent.name)
