"""This process among the nodes: its heartbeat in every partition, and until when it may trust what rests on it.

One batch for all partitions every `BEAT` seconds: the cost grows with nodes, not with sessions. What the node holds is
good until (monotonic time before the last good heartbeat was sent) + LEASE - MARGIN: other nodes may take its places
over after LEASE, and no clock but the node's own says when it has to stop. ("How to do distributed locking",
M. Kleppmann 2016: nobody checks a token when a socket is written to, so the holder has to check itself.)
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import orjson
import structlog

from ..shared.channels import PARTITIONS, Channels
from ..shared.clock import Clock
from ..shared.errors import Unavailable
from .pipeline import Pipeline
from .scripts import HEARTBEAT, NODE_TELL, NODES_LIST, SERVER_ENSURE, Script
from .wire import RedisAddress, Reply, Wire, Word, dial

BEAT = 2.0
LEASE = 6.0
MARGIN = 1.0
"""Seconds that the clocks of Redis and of this machine may part within a lease."""
TIMER_GRAIN = 0.001
RECOVERY = 5.5
"""Seconds in which a Redis that may have forgotten leases gives no places. A little more than LEASE - MARGIN: a node
that comes back later than that has closed its sockets by itself."""

_log = structlog.get_logger("tannoy.membership")
ALL = range(PARTITIONS)


class Commands(Protocol):
    """Takes scripts and commands: a pipeline, or a connection that is just being greeted."""

    def run_script(
        self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]
    ) -> "asyncio.Future[Reply]": ...
    def send(self, *words: Word) -> "asyncio.Future[Reply]": ...


class _Greeting:
    """A connection before all other commands, as Commands. Its scripts have just been loaded."""

    def __init__(self, wire: Wire) -> None:
        self.send = wire.command

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        return self.send(*script.call(keys, arguments))


Restate = Callable[[Commands, Collection[int], bool], Awaitable[None]]
"""(bus, partitions, adding): tell Redis what this process holds there; `adding`: Redis may have forgotten it."""


class Membership:
    """Needs `run` running, and `greet` at the beginning of each connection of `pipeline`.

    `on_expired` is called the moment the heartbeat can't be trusted any more; `describe` gives what other nodes may
    know of this one. `term` rises with every expiry: what was asked before it says nothing about after.
    """

    def __init__(
        self,
        channels: Channels,
        *,
        incarnation: str,
        clock: Clock,
        restate: Restate,
        on_expired: Callable[[], None],
        describe: Callable[[], dict[str, object]],
    ) -> None:
        self.term = 0
        self.valid_until = -math.inf
        self.nodes_alive = 1
        self.to_look_at: set[int] = set()
        """Partitions in which something may have been lost; whoever repairs takes them out."""
        self._channels = channels
        self._incarnation = incarnation
        self._clock = clock
        self._restate = restate
        self._on_expired = on_expired
        self._describe = describe
        self._places_from = -math.inf
        self._servers: list[str | None] = [None] * PARTITIONS
        self._overdue: set[int] = set()  # partitions in which this node was taken for dead, until that is made good
        self._expiry: asyncio.TimerHandle | None = None
        self._hurry = asyncio.Event()
        self._beats = 0
        self._missed = 0

    # ---- until when

    @property
    def is_valid(self) -> bool:
        """Whether this process may act on what it holds. One comparison; asked before every delivery."""
        return self._clock.monotonic() < self.valid_until

    def check(self) -> bool:
        """`is_valid`; where it is not any more, whoever rests on it is told first."""
        if self.is_valid:
            return True
        if self.valid_until > -math.inf:
            self.valid_until = -math.inf
            self.term += 1
            _log.error("the heartbeat has run out: other nodes may take over what this one holds", term=self.term)
            self._on_expired()
        return False

    def _extend(self, sent: float) -> None:
        self.valid_until = sent + LEASE - MARGIN
        self._look_at_expiry()

    def _look_at_expiry(self) -> None:
        """`check` when the time has come, even if nobody asks. A timer may ring a little early: then once more."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        left = self.valid_until - self._clock.monotonic()
        if left > 0:
            self._expiry = asyncio.get_running_loop().call_later(left + TIMER_GRAIN, self._look_at_expiry)
        else:
            self.check()

    # ---- heartbeats

    async def greet(self, wire: Wire) -> None:
        """On every new connection: is this the server we knew? Then the heartbeat. Raises what the wire raises."""
        bus = _Greeting(wire)
        await self._ensure(bus)
        await self._beat(bus)
        self.to_look_at.update(ALL)  # what was under way on the last connection may have been carried out or not

    async def run(self, pipeline: Pipeline) -> None:
        """A heartbeat every BEAT seconds, for ever."""
        while True:
            try:
                await asyncio.wait_for(self._hurry.wait(), BEAT)
            except TimeoutError:
                pass
            self._hurry.clear()
            if pipeline.connected.is_set():
                try:
                    await self._beat(pipeline)
                except Unavailable as error:
                    self._missed += 1
                    _log.warning("missed a heartbeat", error=str(error))

    @property
    def recovers_for(self) -> float:
        """Seconds until Redis gives places; 0: it does."""
        return max(0.0, self._places_from - self._clock.monotonic())

    def hurry(self) -> None:
        """Do not wait for the next heartbeat's time."""
        self._hurry.set()

    async def _ensure(self, bus: Commands) -> list[str | None]:
        """Of each partition, which server with which data it is."""
        window = int(RECOVERY * 1000)
        keys = ((self._channels.server(part),) for part in ALL)
        replies = await asyncio.gather(*(bus.run_script(SERVER_ENSURE, key, (window,)) for key in keys))
        self._places_from = self._clock.monotonic() + max(int(left) for _, left in replies) / 1000
        return [bytes(life).decode() for life, _ in replies]

    async def _beat(self, bus: Commands) -> None:
        sent = self._clock.monotonic()
        replies = await self._send_beats(bus)
        info = orjson.dumps(self._describe())
        await bus.run_script(NODE_TELL, (self._channels.node_info(),), (self._incarnation, info))
        self.check()  # an answer that comes too late must not save what has run out
        servers = [bytes(server).decode() or None for _, _, server in replies]
        if None in servers:
            servers = await self._ensure(bus)
        self.nodes_alive = max(int(alive) for _, alive, _ in replies)
        await self._state_what_was_lost(bus, servers)
        self._servers = servers
        self._beats += 1
        self.check()
        self._extend(sent)

    async def _send_beats(self, bus: Commands) -> list[Reply]:
        """Of each partition what the heartbeat found. What it has made good is noted even if another one fails."""
        beats = (self._send_beat(bus, part, LEASE) for part in ALL)
        replies: list[Reply] = await asyncio.gather(*beats, return_exceptions=True)
        failures = [reply for reply in replies if isinstance(reply, BaseException)]
        for part, reply in enumerate(replies):
            if not isinstance(reply, BaseException) and bytes(reply[0]) != b"alive" and self._beats:
                self._overdue.add(part)
        if failures:
            raise failures[0]
        return replies

    def _send_beat(self, bus: Commands, part: int, seconds: float) -> "asyncio.Future[Reply]":
        keys = (self._channels.nodes(part), self._channels.server(part))
        return bus.run_script(HEARTBEAT, keys, (self._incarnation, int(seconds * 1000)))

    async def _state_what_was_lost(self, bus: Commands, servers: list[str | None]) -> None:
        """Before the lease is extended: until Redis knows again what this node holds, it must not hold it longer."""
        if self._beats == 0:
            return
        forgotten = {part for part in ALL if servers[part] != self._servers[part]}
        self._overdue -= forgotten
        if forgotten:
            _log.warning("Redis is another one, or has lost its data: stating what this node holds")
            await self._restate(bus, sorted(forgotten), True)
        if self._overdue:
            _log.warning("this node was taken for dead: looking what is left of what it held")
            await self._restate(bus, sorted(self._overdue), False)
        self.to_look_at |= forgotten | self._overdue
        self._overdue.clear()

    async def leave(self, pipeline: Pipeline) -> None:
        """The node ends: let others take its places at once. Raises Unavailable."""
        await asyncio.gather(*(self._send_beat(pipeline, part, 0) for part in ALL))

    async def nodes(self, pipeline: Pipeline) -> list[dict[str, object]]:
        """What the living nodes tell about themselves. Raises Unavailable."""
        keys = (self._channels.nodes(0), self._channels.node_info())
        return [orjson.loads(info) for info in await pipeline.run_script(NODES_LIST, keys, ())]

    def close(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()

    def statistics(self) -> dict[str, int | float | bool]:
        return {
            "valid": self.is_valid,
            "term": self.term,
            "beats": self._beats,
            "missed": self._missed,
            "nodes_alive": self.nodes_alive,
        }


async def vouch_for_new_server(address: RedisAddress, prefix: str, timeout: float) -> None:
    """For whoever has just started a Redis itself: no node can have held anything there, so nobody has to wait.

    Raises what `dial` raises.
    """
    channels = Channels(prefix)
    wire = await dial(address, name="tannoy-start", on_pushes=lambda _: None, timeout=timeout)
    try:
        async with asyncio.timeout(timeout):
            await wire.command("SCRIPT", "LOAD", SERVER_ENSURE.source)
            await asyncio.gather(*(wire.command(*SERVER_ENSURE.call((channels.server(p),), (0,))) for p in ALL))
    finally:
        wire.abort()
