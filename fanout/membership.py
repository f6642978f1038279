"""This process among the nodes: its heartbeat in every partition, and until when it may trust what rests on it.

One batch for all partitions every `heartbeat_seconds`: the cost grows with nodes, not with sessions. What the node
holds is good until (monotonic time before the last good heartbeat was sent) + `lease_seconds` - `margin_seconds`:
other nodes may take its places over after `lease_seconds`, and no clock but the node's own says when it has to stop.
("How to do distributed locking", M. Kleppmann 2016: nobody checks a token when a socket is written to, so the holder
has to check itself.)
"""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import orjson
import structlog

from ..shared.channels import PARTITIONS
from ..shared.clock import Clock
from ..shared.errors import Unavailable
from ..shared.keyspace import Keyspace
from ..shared.nodes import NodeInfo
from .backend import backend_of
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .redis.address import AnyAddress
from .redis.connection import Reply, connect
from .redis.pipeline import AnyPipeline, CommandSender
from .scripts import HEARTBEAT, NODE_TELL, NODES_LIST, SERVER_ENSURE

TIMER_GRAIN = 0.001

_log = structlog.get_logger("tannoy.membership")
ALL = range(PARTITIONS)


class LeaseHolder(Protocol):
    """What rests on the heartbeat of this process."""

    def on_expired(self) -> None:
        """Called once at each expiry of the heartbeat, before anything else is done."""
        ...

    async def restate(self, commands: CommandSender, partitions: Collection[int], *, add_missing: bool) -> None:
        """State to Redis what this process holds there; `add_missing`: Redis may have forgotten it."""
        ...


class _NoHolder:
    def on_expired(self) -> None: ...

    async def restate(self, commands: CommandSender, partitions: Collection[int], *, add_missing: bool) -> None: ...


class Membership:
    """Needs `run` running, and `greet` at the beginning of each connection of `pipeline`.

    `on_expired` is called once at each expiry of the heartbeat, before anything else is done; `describe` gives what
    other nodes may know of this one. `term` rises with every expiry: a reply to what was asked before an expiry says
    nothing about the time after it.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        *,
        incarnation: str,
        clock: Clock,
        describe: Callable[[], NodeInfo],
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self.term = 0
        self.valid_until = -math.inf
        self.nodes_alive = 1
        self.to_look_at: set[int] = set()
        """Partitions in which something may have been lost; whoever repairs takes them out."""
        self._keyspace = keyspace
        self._incarnation = incarnation
        self._clock = clock
        self._holder: LeaseHolder = _NoHolder()
        self._describe = describe
        self._times = times
        self._places_from = -math.inf
        self._servers: list[str | None] = [None] * PARTITIONS
        self._sent = [-math.inf] * PARTITIONS  # when the last good heartbeat was sent
        self._beating = (
            asyncio.Lock()
        )  # in a cluster the connection to one server may be greeted in the midst of a beat
        self._overdue: set[int] = set()  # partitions in which this node was taken for dead, until that is made good
        self._expiry: asyncio.TimerHandle | None = None
        self._hurry = asyncio.Event()
        self._beats = 0
        self._missed = 0

    def attach(self, holder: LeaseHolder) -> None:
        """From now on the heartbeat is that of `holder`; before, nothing rests on it."""
        self._holder = holder

    # ---- until when

    @property
    def is_valid(self) -> bool:
        """Whether this process may act on what it holds: one comparison, without any effect."""
        return self._clock.monotonic() < self.valid_until

    def fence_if_expired(self) -> bool:
        """Return whether the heartbeat has expired or has never been sent; at the expiry call `on_expired` first.

        An expired heartbeat is never extended: `_beat` fences before it extends `valid_until`.
        """
        if self.is_valid:
            return False
        if self.valid_until > -math.inf:
            self.valid_until = -math.inf
            self._sent = [-math.inf] * PARTITIONS
            self.term += 1
            _log.error("the heartbeat has run out: other nodes may take over what this one holds", term=self.term)
            self._holder.on_expired()
        return True

    def _extend(self) -> None:
        oldest = min(self._sent)
        if oldest > -math.inf:
            self.valid_until = oldest + self._times.valid_seconds
            self._look_at_expiry()

    def _look_at_expiry(self) -> None:
        """Fence at the expiry even if no entry does so before. A timer may fire a little early: then set it again."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        left = self.valid_until - self._clock.monotonic()
        if left > 0:
            self._expiry = asyncio.get_running_loop().call_later(left + TIMER_GRAIN, self._look_at_expiry)
        else:
            self.fence_if_expired()

    # ---- heartbeats

    async def greet(self, bus: CommandSender, partitions: Sequence[int]) -> None:
        """On every new connection, for what its server serves: is this the one we knew? Then the heartbeat.

        Raises what `bus` raises.
        """
        await self._ensure(bus, partitions)
        await self._beat(bus, partitions)
        self.to_look_at.update(partitions)  # what was under way on the last connection may have been carried out or not
        if len(partitions) < PARTITIONS:
            self.beat_soon()  # while this server was away there were no heartbeats on the others either

    async def meet(self, bus: CommandSender, partitions: Sequence[int]) -> None:
        """On every new connection that does without a heartbeat: whoever writes has to know whose life this is.

        Raises what `bus` raises.
        """
        await self._ensure(bus, partitions)

    async def run(self, pipeline: AnyPipeline) -> None:
        """A heartbeat every `heartbeat_seconds`, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._times.heartbeat_seconds):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()
            if pipeline.connected.is_set():
                try:
                    await self._beat(pipeline, ALL)
                except Unavailable as error:
                    self._missed += 1
                    _log.warning("missed a heartbeat", error=str(error))

    @property
    def recovers_for(self) -> float:
        """Seconds until Redis gives places; 0: it does."""
        return max(0.0, self._places_from - self._clock.monotonic())

    def beat_soon(self) -> None:
        """Do not wait for the next heartbeat's time."""
        self._hurry.set()

    async def _ensure(self, bus: CommandSender, partitions: Sequence[int]) -> dict[int, str | None]:
        """Of each partition, which server with which data it is."""
        keys = ((self._keyspace.server(part),) for part in partitions)
        replies = await asyncio.gather(
            *(bus.run_script(SERVER_ENSURE, key, (self._times.recovery_ms,)) for key in keys)
        )
        wait = max((int(left) for _, left in replies), default=0) / 1000
        self._places_from = max(self._places_from, self._clock.monotonic() + wait)
        return {part: bytes(life).decode() for part, (life, _) in zip(partitions, replies, strict=True)}

    async def _beat(self, bus: CommandSender, partitions: Sequence[int]) -> None:
        """The process may trust what it holds from the oldest heartbeat of any partition on."""
        sent = self._clock.monotonic()
        replies = await self._send_beats(bus, partitions)
        if 0 in partitions:
            info = orjson.dumps(self._describe().as_object())
            await bus.run_script(NODE_TELL, (self._keyspace.node_info(),), (self._incarnation, info))
        self.fence_if_expired()  # a reply that comes too late must not extend an expired heartbeat
        servers = {part: bytes(reply[2]).decode() or None for part, reply in replies.items()}
        if None in servers.values():
            servers = await self._ensure(bus, partitions)
        if len(replies) == PARTITIONS:
            self.nodes_alive = max(int(alive) for _, alive, _ in replies.values())
        await self._state_what_was_lost(bus, servers)
        for part, server in servers.items():
            self._servers[part] = server
            self._sent[part] = sent
        self._beats += 1
        self.fence_if_expired()
        self._extend()

    async def _send_beats(self, bus: CommandSender, partitions: Sequence[int]) -> dict[int, Reply]:
        """Of each partition what the heartbeat found. What it has made good is noted even if another one fails."""
        beats = (self._send_beat(bus, part, self._times.lease_ms) for part in partitions)
        replies: dict[int, Reply] = dict(
            zip(partitions, await asyncio.gather(*beats, return_exceptions=True), strict=True)
        )
        failures = [reply for reply in replies.values() if isinstance(reply, BaseException)]
        for part, reply in replies.items():
            if not isinstance(reply, BaseException) and bytes(reply[0]) != b"alive" and self._servers[part] is not None:
                self._overdue.add(part)
        if failures:
            raise failures[0]
        return replies

    def _send_beat(self, bus: CommandSender, part: int, milliseconds: int) -> "asyncio.Future[Reply]":
        keys = (self._keyspace.heartbeats(part), self._keyspace.server(part))
        return bus.run_script(HEARTBEAT, keys, (self._incarnation, milliseconds))

    async def _state_what_was_lost(self, bus: CommandSender, servers: Mapping[int, str | None]) -> None:
        """Before the lease is extended: until Redis knows again what this node holds, it must not hold it longer."""
        forgotten = {part for part, server in servers.items() if self._servers[part] not in (None, server)}
        self._overdue -= forgotten
        if forgotten:
            _log.warning("Redis is another one, or has lost its data: stating what this node holds")
            await self._holder.restate(bus, sorted(forgotten), add_missing=True)
        overdue = self._overdue & servers.keys()
        if overdue:
            _log.warning("this node was taken for dead: looking what is left of what it held")
            await self._holder.restate(bus, sorted(overdue), add_missing=False)
        self.to_look_at |= forgotten | overdue
        self._overdue -= overdue

    async def leave(self, pipeline: AnyPipeline) -> None:
        """The node ends: let others take its places at once. Raises Unavailable."""
        await asyncio.gather(*(self._send_beat(pipeline, part, 0) for part in ALL))

    async def nodes(self, pipeline: AnyPipeline) -> list[NodeInfo]:
        """The nodes whose heartbeat holds. Raises Unavailable, and MalformedBytes for a node of another version."""
        keys = (self._keyspace.heartbeats(0), self._keyspace.node_info())
        return [NodeInfo.parse(orjson.loads(info)) for info in await pipeline.run_script(NODES_LIST, keys, ())]

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


async def vouch_for_new_server(address: AnyAddress, prefix: str, timeout: float) -> None:
    """For whoever has just started a Redis itself: no node can have held anything there, so nobody has to wait.

    Raises what `connect` raises, and StartError.
    """
    keyspace = Keyspace(prefix)
    for server, partitions in await backend_of(address, keyspace).servers():
        connection = await connect(server, name="tannoy-start", on_pushes=lambda _: None, timeout=timeout)
        try:
            async with asyncio.timeout(timeout):
                await connection.send("SCRIPT", "LOAD", SERVER_ENSURE.source)
                keys = ((keyspace.server(part),) for part in partitions)
                await asyncio.gather(*(connection.send(*SERVER_ENSURE.call(key, (0,))) for key in keys))
        finally:
            connection.abort()
