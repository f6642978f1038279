"""An attack, as a value; and what it may use."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.attack.arena import Arena
from tests.attack.peer import Budget, Peer


@dataclass(slots=True)
class Attacker:
    """One of the sockets of an attack, or several one after the other, and the cluster that it attacks."""

    arena: Arena
    number: int
    until: float
    """Of the clock of the loop."""
    budget: Budget

    @property
    def goes_on(self) -> bool:
        return asyncio.get_running_loop().time() < self.until

    @property
    def port(self) -> int:
        return self.arena.attacked.port

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.until - asyncio.get_running_loop().time())

    @asynccontextmanager
    async def connect(self, *, receive_buffer: int | None = None) -> AsyncGenerator[Peer]:
        peer = await Peer.connect(self.port, self.budget, receive_buffer=receive_buffer)
        try:
            yield peer
        finally:
            await peer.close()

    @asynccontextmanager
    async def socket(self, path: str, *headers: str, receive_buffer: int | None = None) -> AsyncGenerator[Peer]:
        """A WebSocket connection, `welcome` included."""
        async with self.connect(receive_buffer=receive_buffer) as peer:
            await peer.upgrade(path, *headers)
            yield peer


@asynccontextmanager
async def _as_it_is(arena: Arena) -> AsyncGenerator[None]:
    yield


@dataclass(frozen=True, slots=True)
class Case:
    """`fault`: its line in the table of faults, such as F3. `attack`: one round of one attacker; returns an outcome.

    `ends_as`: the outcomes that are designed, of `Peer.ending` or of the attack's own. `setting`: what is there
    before anything is measured, for as long as it goes on. `by_client`: it needs no access to Redis. `sealed`: the
    cluster has a secret. `rated`: sessions have the rates of the product, which other attacks do without. `is_long`: it
    takes too long for the tests. `connections_mb`: what its connections may take of the node's memory, beside the
    bound. `cuts_link`: it ends the node's link to Redis each time, and a node is not ready while it has none.
    """

    name: str
    fault: str
    attack: Callable[[Attacker], Awaitable[str]]
    ends_as: frozenset[str]
    setting: Callable[[Arena], AbstractAsyncContextManager[None]] = _as_it_is
    by_client: bool = True
    sealed: bool = False
    rated: bool = False
    is_long: bool = False
    connections_mb: float = 0.0
    cuts_link: bool = False
