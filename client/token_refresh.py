"""Replaces the token of a session before it expires, so that its connection stays."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import datetime

from .calls import call
from .errors import CommandRefused, ConnectionLost, NoAnswer, Unconfirmed
from .events import NodeError
from .reconnector import Reconnector
from .tokens import TokenSource

REFRESH_FROM, REFRESH_TO = 0.75, 0.9
"""Parts of the time until a token expires, between which it is replaced: at random, since many may begin together."""
LIFE_MIN = 10.0
"""Seconds. A token that expires sooner is replaced when the node says that it has expired."""


def seconds_until_refresh(expires_at: float, now: float, uniform: Callable[[float, float], float]) -> float | None:
    """Both times are in Unix seconds. None: not ahead of the end, as also where the clock of this machine is fast."""
    left = expires_at - now
    return None if left < LIFE_MIN else left * uniform(REFRESH_FROM, REFRESH_TO)


def parse_expiry(expires_at: str) -> float:
    """The `expires_at` of a frame in Unix seconds."""
    return datetime.fromisoformat(expires_at).timestamp()


class TokenRefresh:
    """Of one session, whose tokens come from a function. Each connection of it begins anew."""

    __slots__ = ("_link", "_task", "_tokens")

    def __init__(self, link: Reconnector, tokens: TokenSource) -> None:
        self._link = link
        self._tokens = tokens
        self._task: asyncio.Task[None] | None = None

    def begin(self, expires_at: str | None) -> None:
        """A connection is live. `expires_at`: of its `welcome`; None: there is no token."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if expires_at is not None:
            self._task = self._link.start_task(self._run(parse_expiry(expires_at)))

    async def _run(self, expires_at: float) -> None:
        while (delay := seconds_until_refresh(expires_at, time.time(), random.uniform)) is not None:
            await asyncio.sleep(delay)
            try:
                expires_at = await self._refresh()
            except (ConnectionLost, NoAnswer, Unconfirmed):
                continue  # while the token holds, there is another try
            except CommandRefused as refused:
                self._link.tell(NodeError(refused.code, str(refused)))
                return  # the session ends with its token, and the next one begins with the new token

    async def _refresh(self) -> float:
        """Replace the token; returns when the new one expires."""
        token = await self._tokens.renew(self._link.token)
        command = {"type": "refresh", "token": token}
        answer = await call(self._link, command, timeout=self._link.options.timeout)
        self._link.token = token
        return parse_expiry(answer["expires_at"])
