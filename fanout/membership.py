"""The heartbeats of this process, one in each partition, and until when it may act on the leases that rest on them.

A batch for all partitions goes out every `heartbeat_seconds`: its cost grows with the nodes, not with the sessions.
What this process holds is valid until (monotonic time before the last good heartbeat was sent) + `lease_seconds` -
`margin_seconds`: other nodes may take over its leases after `lease_seconds`, and no clock but its own says when it has
to stop. ("How to do distributed locking", M. Kleppmann 2016: nothing checks a fencing token when a socket is written
to, so the holder has to check itself.)

A heartbeat counts from the time at which its server was last known to be the one to which the address leads, if that is
earlier: a connection may live on to a server that was replaced, while others have its leases granted to them on the new
one. The link confirms the server twice a second (`pubsub/server_proof.py`); where it can't, the connection is replaced.
"""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..shared.channels import PARTITIONS
from ..shared.clock import Clock
from ..shared.errors import TannoyError, Unavailable
from ..shared.keyspace import Keyspace
from ..shared.logs import get_logger
from ..shared.nodes import NodeInfo
from ..shared.waiting import wait_up_to
from .heartbeats import Heartbeat, HeartbeatCalls, parse_heartbeat
from .lease_times import DEFAULT_TIMES, LeaseTimes
from .redis.connection import RedisConnection
from .redis.errors import reason_of, words_of
from .redis.pipeline import AnyPipeline, CommandSender
from .server_life import ServerLives

TIMER_GRAIN_SECONDS = 0.001
"""Added to the timer of the expiry: uvloop rounds to milliseconds, and a timer that fires early has to be set again."""
ALL_PARTITIONS = range(PARTITIONS)

_log = get_logger("tannoy.membership")


@dataclass(frozen=True, slots=True)
class MembershipStatistics:
    valid: bool
    """Whether the heartbeat holds."""
    term: int
    """Expiries of the heartbeat since the start."""
    beats: int
    """Heartbeats since the start that Redis has confirmed in every partition they were for."""
    missed: int
    """Heartbeats since the start that it has not."""
    nodes_alive: int
    """Nodes whose heartbeat holds, with this one; as of the last heartbeat."""


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
    """Needs `run` running, and `on_connected` called on each new connection of the pipeline that `run` is given.

    `describe` gives what other nodes may know of this one.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        lives: ServerLives,
        *,
        incarnation: str,
        clock: Clock,
        describe: Callable[[], NodeInfo],
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self.term = 0
        """Rises with each expiry: the answer to a question from before one says nothing about the time after it."""
        self.valid_until = -math.inf
        """Monotonic seconds."""
        self.nodes_alive = 1
        self.refusal: str | None = None
        """Why the last heartbeat has failed; None: Redis has confirmed it."""
        self.to_restate: set[int] = set()
        """Partitions in which something may have been lost; anti-entropy takes out those that it has restated."""
        self._lives = lives
        self._calls = HeartbeatCalls(keyspace, incarnation, lives.unreadable)
        self._clock = clock
        self._holder: LeaseHolder = _NoHolder()
        self._describe = describe
        self._times = times
        self._known_lives: list[str | None] = [None] * PARTITIONS  # as of the last good heartbeat
        self._sent = [-math.inf] * PARTITIONS  # when the last good heartbeat was sent
        self._sent_over: list[RedisConnection | None] = [None] * PARTITIONS
        self._losses = [0] * PARTITIONS  # how often keys of the partition were lost, as of the last heartbeat
        # Partitions in which this process was not alive, or keys were lost, until it has restated there.
        self._overdue: set[int] = set()
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._is_due = asyncio.Event()
        self._beats = 0
        self._missed = 0

    def attach(self, holder: LeaseHolder) -> None:
        """From now on the heartbeat is that of `holder`; before, nothing rests on it."""
        self._holder = holder

    # ---- the expiry

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
            _log.error("the heartbeat has expired: other nodes may take over the leases of this one", term=self.term)
            self._holder.on_expired()
        return True

    def _extend(self) -> None:
        """The heartbeat of the process is as old as the oldest one of any partition."""
        oldest = min(*self._sent, *map(self._confirmed_at, set(self._sent_over)))
        if oldest > -math.inf:
            self.valid_until = oldest + self._times.valid_seconds
            self._schedule_expiry()

    def _confirmed_at(self, connection: RedisConnection | None) -> float:
        """When the server of a connection was last known to be the one to which the address leads."""
        return -math.inf if connection is None else self._clock.monotonic() - connection.unconfirmed_for

    def _schedule_expiry(self) -> None:
        """Fence at the expiry even if no entry does so before; half-way, see whether the server was confirmed since."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        left = self.valid_until - self._clock.monotonic()
        delay = left / 2 if left > 2 * TIMER_GRAIN_SECONDS else max(left, 0.0) + TIMER_GRAIN_SECONDS
        self._expiry_timer = asyncio.get_running_loop().call_later(delay, self._fence_or_extend)

    def _fence_or_extend(self) -> None:
        if not self.fence_if_expired():
            self._extend()

    # ---- heartbeats

    async def on_connected(self, commands: CommandSender, partitions: Sequence[int]) -> None:
        """On each new connection, for the partitions of its server: check its life, then send the heartbeat.

        Raises what `commands` raises.
        """
        await self._lives.ensure(commands, partitions)
        await self._beat(commands, partitions)
        # What was in flight on the last connection may have been executed or not.
        self.to_restate.update(partitions)
        if len(partitions) < PARTITIONS:
            self.beat_soon()  # while this server was away, heartbeats failed on the others too

    async def run(self, pipeline: AnyPipeline) -> None:
        """A heartbeat every `heartbeat_seconds`, for ever."""
        while True:
            await wait_up_to(self._times.heartbeat_seconds, self._is_due)
            self._is_due.clear()
            # Where a connection was replaced, its heartbeat comes with the next one.
            if pipeline.connected.is_set() and not self._replace_unconfirmed(pipeline):
                try:
                    await self._beat(pipeline, ALL_PARTITIONS)
                except Unavailable as error:
                    self._missed += 1
                    self.refusal = reason_of(error)
                    _log.warning("missed a heartbeat", error=words_of(error))
                else:
                    self.refusal = None

    def _replace_unconfirmed(self, pipeline: AnyPipeline) -> bool:
        """Close the connections whose server was not confirmed for half of the time for which a heartbeat counts.

        A new one goes to where the address leads now. Returns whether there were any.
        """
        longest = self._times.valid_seconds / 2
        connections = {each for part in ALL_PARTITIONS if (each := pipeline.connection_for(part))}
        stale = [each for each in connections if each.unconfirmed_for > longest]
        for connection in stale:
            connection.abort("the link has not confirmed its server for too long")
        return bool(stale)

    def beat_soon(self) -> None:
        """Send the next heartbeat now."""
        self._is_due.set()

    async def _beat(self, commands: CommandSender, partitions: Sequence[int]) -> None:
        """Send a heartbeat in these partitions, restate what may have been lost there, and only then extend it.

        Invariants: the heartbeat is extended from the time before it was sent, never from its answer; it is fenced
        before it is extended, so that a late answer does not bring back what has expired; and it is extended only
        where Redis agrees with what this process holds.
        """
        sent = self._clock.monotonic()
        sent_over = {part: commands.connection_for(part) for part in partitions}
        found = await self._send_beats(commands, partitions)
        if 0 in partitions:
            await self._calls.describe(commands, self._describe())
        self.fence_if_expired()
        lives: Mapping[int, str | None] = {part: heartbeat.life for part, heartbeat in found.items()}
        if None in lives.values():
            lives = await self._lives.ensure(commands, partitions)
        if len(found) == PARTITIONS:
            self.nodes_alive = max(heartbeat.nodes_alive for heartbeat in found.values())
        await self._restate_lost(commands, lives)
        for part, life in lives.items():
            self._known_lives[part] = life
            self._sent[part], self._sent_over[part] = sent, sent_over[part]
        self._beats += 1
        self.fence_if_expired()
        self._extend()

    async def _send_beats(self, commands: CommandSender, partitions: Sequence[int]) -> dict[int, Heartbeat]:
        """What the heartbeat found in each partition. Raises the first failure, once all have answered.

        Invariant: a heartbeat makes this process alive again, so the next one does not show that it was not. That is
        noted in `_overdue` here, also where the heartbeat fails in another partition.
        """
        replies = await self._calls.beat(commands, partitions, self._times.lease_ms, self._lives.seen)
        found: dict[int, Heartbeat] = {}
        failures: list[TannoyError] = []
        for part, reply in zip(partitions, replies, strict=True):
            if isinstance(reply, TannoyError):
                failures.append(reply)
                continue
            heartbeat = found[part] = parse_heartbeat(reply)
            if heartbeat.life is not None:
                self._lives.note_seen(part, heartbeat.seen)
            has_lost_keys = heartbeat.losses != self._losses[part]
            if (has_lost_keys or not heartbeat.was_alive) and self._known_lives[part] is not None:
                self._overdue.add(part)
            self._losses[part] = heartbeat.losses
        if failures:
            raise failures[0]
        return found

    async def _restate_lost(self, commands: CommandSender, lives: Mapping[int, str | None]) -> None:
        """Restate what this process holds where Redis may not know it any more.

        Invariant: this comes before the heartbeat is extended. Until Redis knows again what this process holds, it
        must not hold it longer, for Redis may grant it to others. Under another life what is missing is added, since
        Redis has forgotten it; where this process was not alive it is not, since others may hold it by now.
        """
        forgotten = {part for part, life in lives.items() if self._known_lives[part] not in (None, life)}
        self._overdue -= forgotten
        if forgotten:
            _log.warning("Redis is another server, or has lost its data: stating the leases of this node")
            await self._holder.restate(commands, sorted(forgotten), add_missing=True)
        overdue = self._overdue & lives.keys()
        if overdue:
            _log.warning("Redis had lost keys, or the heartbeat of this node: checking which leases it still has")
            await self._holder.restate(commands, sorted(overdue), add_missing=False)
        self.to_restate |= forgotten | overdue
        self._overdue -= overdue

    async def leave(self, pipeline: AnyPipeline) -> None:
        """End the heartbeat, so that other nodes may take over at once. Raises Unavailable."""
        for answer in await self._calls.beat(pipeline, ALL_PARTITIONS, 0, self._lives.seen):
            if isinstance(answer, TannoyError):
                raise answer

    async def list_nodes(self, pipeline: AnyPipeline) -> list[NodeInfo]:
        """The nodes whose heartbeat holds. Raises Unavailable."""
        return await self._calls.list_nodes(pipeline)

    def close(self) -> None:
        """The expiry is not watched any more."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()

    def statistics(self) -> MembershipStatistics:
        return MembershipStatistics(
            valid=self.is_valid, term=self.term, beats=self._beats, missed=self._missed, nodes_alive=self.nodes_alive
        )
