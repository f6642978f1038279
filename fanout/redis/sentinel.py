"""Find the master that Sentinels name, and notice when they name another one.

All Sentinels are asked at once, so that a frozen one delays nothing, and the answer with the highest configuration
epoch counts: a Sentinel that was cut off, or has just resumed, still names an old master. How a server is asked is
passed in as a parameter; this module opens no connections.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import cycle
from typing import Any, TypeVar

from ...shared.errors import TannoyError
from ...shared.logs import get_logger
from .address import RedisAddress, SentinelAddress
from .query import QueryServer, query_all

ANSWER_WITHIN = 1.0
"""Seconds that a Sentinel has to answer: three to five round trips, each of which may take 0.2."""
QUERY_PERIOD = 1.0
"""Seconds between two queries to Sentinels while connections are open."""

_log = get_logger("tannoy.sentinel")
T = TypeVar("T")


class NoMaster(TannoyError):
    """No Sentinel that answers names a master. The message holds the reason of each Sentinel."""


@dataclass(frozen=True, slots=True)
class NamedMaster:
    """A master as a Sentinel names it. `epoch` is the configuration epoch: each failover raises it."""

    server: RedisAddress
    epoch: int


class MasterDiscovery:
    """Where the master of one name is. One of these serves all connections of a node, so Sentinels are asked once."""

    def __init__(self, address: SentinelAddress) -> None:
        self.address = address
        self.newest: NamedMaster | None = None
        """What the Sentinels named last."""
        self._refreshing = asyncio.Lock()
        self._next_move: asyncio.Future[None] | None = None

    def __str__(self) -> str:
        return str(self.address) if self.newest is None else f"{self.newest.server} ({self.address})"

    async def locate(self, query_server: QueryServer) -> NamedMaster:
        """Ask all Sentinels where the master is now; takes at most ANSWER_WITHIN seconds. Raises NoMaster."""
        answers = await query_all(
            self.address.sentinels, lambda each: self._query(each, query_server), within=ANSWER_WITHIN
        )
        named = [answer for answer in answers.values() if isinstance(answer, NamedMaster)]
        if not named:
            reasons = "; ".join(f"{sentinel}: {answer}" for sentinel, answer in answers.items())
            raise NoMaster(f"no Sentinel names a master {self.address.master!r} ({reasons})")
        newest = max(named, key=lambda answer: answer.epoch)
        self.learn(newest)
        return newest

    async def keep_current(self, query_server: QueryServer) -> None:
        """Ask one Sentinel after another, one each QUERY_PERIOD, for ever, and keep `newest` up to date.

        A master that was cut off from its Sentinels together with this node does not know that it was replaced; the
        connections to it find out by `why_moved`. All connections may run this: one of them does the work for all.
        """
        async with self._refreshing:
            for sentinel in cycle(self.address.sentinels):
                await asyncio.sleep(QUERY_PERIOD)
                answer = await self._query(sentinel, query_server)
                if isinstance(answer, NamedMaster) and (self.newest is None or answer.epoch > self.newest.epoch):
                    self.learn(answer)

    def learn(self, named: NamedMaster) -> None:
        """Note what the Sentinels name. If it is another server than before, `next_move` completes."""
        is_another = self.newest is None or self.newest.server != named.server
        self.newest = named
        if is_another:
            _log.info(
                "the Sentinels name a master", master=self.address.master, redis=str(named.server), epoch=named.epoch
            )
            if self._next_move is not None and not self._next_move.done():
                self._next_move.set_result(None)

    def next_move(self) -> "asyncio.Future[None]":
        """A future that completes as soon as the Sentinels name another server. It is shared: do not cancel it."""
        if self._next_move is None or self._next_move.done():
            self._next_move = asyncio.get_running_loop().create_future()
        return self._next_move

    def why_moved(self, named: NamedMaster) -> str | None:
        """The reason to close a connection to `named`; None while it is still the master.

        Only a higher epoch counts: a Sentinel that was cut off, or was suspended, may still name an old master.
        """
        newest = self.newest
        if newest is None or newest.epoch <= named.epoch or newest.server == named.server:
            return None
        return f"the Sentinels name {newest.server} as the master now"

    async def race_move(self, opening: Coroutine[Any, Any, T], *, discard: Callable[[T], None]) -> T:
        """The result of `opening`, unless the Sentinels name another server first: the old one may be frozen.

        On a move or a cancellation `opening` is cancelled; `discard` gets its result if there is one all the same.

        Raises TimeoutError on a move, and what `opening` raises.
        """
        task = asyncio.create_task(opening)
        try:
            await asyncio.wait((task, self.next_move()), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise TimeoutError("the Sentinels name another server")
        except BaseException:
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            if not isinstance(result, BaseException):
                discard(result)
            raise

    async def _query(self, sentinel: RedisAddress, query_server: QueryServer) -> NamedMaster | str:
        """The master that this Sentinel names, or the reason why it names none."""
        # The first command knows of a failover that is in progress, the second one has the epoch.
        name = self.address.master
        commands = (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), ("SENTINEL", "MASTER", name))
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                endpoint, state = await query_server(sentinel, commands, ANSWER_WITHIN)
        except TimeoutError:
            return "does not answer"
        except (OSError, TannoyError) as error:
            return str(error) or type(error).__name__
        match endpoint:
            case [bytes() as host, bytes() as port]:
                try:
                    return NamedMaster(self.address.at(host.decode(), int(port)), _epoch(state))
                except ValueError as error:
                    return f"names an invalid server: {error}"
            case None:
                return "knows no master of this name"
            case _:
                return str(endpoint)


Target = RedisAddress | MasterDiscovery
"""What a connection goes to: one server, or the master that Sentinels name at that time."""


def _epoch(state: Any) -> int:
    """The epoch in the reply to SENTINEL MASTER; 0 where an ACL forbids it, so that all answers count the same."""
    match state:
        case {b"config-epoch": bytes() as epoch} if epoch.isdigit():
            return int(epoch)
        case _:
            return 0
