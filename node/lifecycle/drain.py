"""Draining a node that ends: each session is sent `bye` 4001, and has CLOSE_TIMEOUT to answer the close frame."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from ...shared.backoff import spread_retry_after
from ...shared.codes import CloseCode

CLOSE_TIMEOUT = 2.0
"""Seconds that clients have to answer the close frame before the node ends without their answer."""
RETRY_WITHIN = 2.0
"""Seconds over which the clients are asked to spread their reconnects."""


class Closable(Protocol):
    """A session, as the drain sees it."""

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None: ...


async def drain_sessions(sessions: Iterable[Closable], all_closed: asyncio.Event) -> bool:
    """Close the sessions, and wait until all sockets are closed; False: some were not within CLOSE_TIMEOUT.

    `all_closed` has to be set while no connection waits for its peer.
    """
    for session in sessions:
        session.close(CloseCode.DRAINING, retry_after=spread_retry_after(0, RETRY_WITHIN))
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await all_closed.wait()
    except TimeoutError:
        return False
    return True
