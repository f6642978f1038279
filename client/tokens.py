"""The token of a client: a string, or a function that returns one and is asked again before it expires, or then."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from .errors import ClientError, ConnectionLost

TokenProvider = Callable[[], str | Awaitable[str]]
Token = str | TokenProvider | None


class TokenSource:
    """The connections of one client share it: however many of them need a new token, the provider is asked once.

    A provider that is no coroutine function runs in a thread, so that it may block. What it raises ends the client; but
    OSError and TimeoutError are taken for a failed attempt to connect, after which it is asked again.
    """

    __slots__ = ("_asking", "_provider", "_token")

    def __init__(self, token: Token) -> None:
        self._provider = token if callable(token) else None
        self._token = None if callable(token) else token
        self._asking: asyncio.Task[str] | None = None

    @property
    def is_renewable(self) -> bool:
        return self._provider is not None

    @property
    def exists(self) -> bool:
        """Whether the client presents a token at all."""
        return self._token is not None or self._provider is not None

    async def get(self) -> str | None:
        """The present token; None if the client has none. Raises ClientError, or ConnectionLost for another attempt."""
        if self._token is not None or self._provider is None:
            return self._token
        return await self._ask_once(self._provider)

    async def renew(self, token: str | None) -> str:
        """A token in place of this one, which holds still. Raises what `get` raises; the one before is kept then."""
        assert self._provider is not None
        if self._token is not None and self._token != token:
            return self._token  # another connection has asked
        return await self._ask_once(self._provider)

    async def _ask_once(self, provider: TokenProvider) -> str:
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask(provider))
        asking = self._asking
        try:
            return await asyncio.shield(asking)  # one caller that gives up does not stop the others
        finally:
            if asking.done() and self._asking is asking:
                self._asking = None

    def discard(self, token: str | None) -> None:
        """A node said that this token has expired. It is asked for once, if several connections say so."""
        if token == self._token:
            self._token = None

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self, provider: TokenProvider) -> str:
        try:
            is_coroutine = inspect.iscoroutinefunction(provider)
            given: str | Awaitable[str] = provider() if is_coroutine else await asyncio.to_thread(provider)
            token = await given if inspect.isawaitable(given) else given
        except OSError as error:  # TimeoutError is one
            raise ConnectionLost(f"no token: {error or type(error).__name__}") from error
        except Exception as error:
            raise ClientError(f"no token: the function for it raised {type(error).__name__}: {error}") from error
        if not isinstance(token, str) or not token:
            raise ClientError(f"no token: the function for it returned {type(token).__name__}, a string is expected")
        self._token = token
        return token
