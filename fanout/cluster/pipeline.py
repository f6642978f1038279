"""A pipeline to all masters of a Redis Cluster: what it is told goes to the one that serves the partition.

Each partition is a lane. It is open while its master is known, connected, and has been greeted for it. A command that a
server says it has not carried out (MOVED, ASK, TRYAGAIN, CLUSTERDOWN) goes back into its lane, which closes until all
that was sent before has been answered: then everything goes out again in the order in which it came. Nothing else is
ever sent twice, and every command has the one deadline that it got at the door.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from ...shared.channels import PARTITIONS
from ...shared.errors import Unavailable
from ...shared.keyspace import partition_of
from ..redis.address import RedisAddress
from ..redis.connection import Reply, Word
from ..redis.errors import CommandFailed
from ..redis.in_flight import COMMAND_TIMEOUT, InFlight
from ..redis.pipeline import OnConnected, PipelineStatistics
from ..redis.script import Script
from ..scripts import SERVER_ADOPT
from .master_pipeline import MasterPipeline, PartitionRouter
from .partition_queue import PartitionQueue, QueuedCommand
from .per_master import PerMaster
from .slot_migration import MovedPartition, identity_of, keep_epoch_of_moved_slot
from .slots import Redirection, RedirectionKind, read_redirection
from .topology import ClusterTopology

TRY_AGAIN_AFTER = 0.03
"""Seconds until a partition whose keys are being moved is tried again."""
GREET_AGAIN_AFTER = 0.1
GREETINGS_TOGETHER = 2
"""Attempts to greet a server for all its partitions in one go; then each alone, so that none holds up the others."""

_log = structlog.get_logger("tannoy.cluster")


@dataclass(frozen=True, slots=True)
class ClusterPipelineStatistics(PipelineStatistics):
    redirected: int
    """Commands that a server did not execute and that were sent again."""


class ClusterPipeline(PartitionRouter):
    """Needs `run` running, and that of `cluster`. Used as a Pipeline is."""

    def __init__(
        self,
        cluster: ClusterTopology,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_connected: OnConnected,
        server_key: Callable[[int], bytes],
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        super().__init__(partial(self._take, greets=False))
        self.connected = asyncio.Event()
        """Set while every partition has a master that takes commands."""
        self.command_timeout = command_timeout
        self._cluster = cluster
        self._name = name
        self._scripts = (*(script.sharded for script in scripts), SERVER_ADOPT)
        self._on_connected = on_connected
        self._server_key = server_key
        self._queues = [PartitionQueue(part) for part in range(PARTITIONS)]
        self._in_flight: InFlight[QueuedCommand] = InFlight(self._forget_overdue)
        self._masters: PerMaster[MasterPipeline] = PerMaster(self._make)
        self._moved_partitions: dict[int, MovedPartition] = {}  # partitions that have just come to another master
        self._asked: set[RedisAddress] = set()  # out of turn, since the last look
        self._redirected = 0
        cluster.listen(self._told, self.connected.is_set)

    # ---- AnyPipeline

    def publish(self, channel: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """SPUBLISH. The result is the number of links that got it: all subscribe where it is published."""
        return self._take(("SPUBLISH", channel, payload), None, partition_of(channel), greets=False)

    async def run(self) -> None:
        """Keep a connection to each master for ever. Only what no retry can mend gets out of here."""
        self._told()
        await self._masters.run()

    def statistics(self) -> "ClusterPipelineStatistics":
        commands = self._in_flight.statistics()
        return ClusterPipelineStatistics(
            connected=self.connected.is_set(),
            answered=commands.answered,
            failed=commands.failed,
            in_flight=commands.in_flight,
            in_flight_bytes=commands.in_flight_bytes,
            redirected=self._redirected,
        )

    # ---- the way of a command

    def _take(
        self, words: tuple[Word, ...], script: Script | None, partition: int, *, greets: bool
    ) -> asyncio.Future[Reply]:
        queue = self._queues[partition]
        command = QueuedCommand(queue, words, script, greets, self.command_timeout)
        if self._in_flight.admit(command):
            if queue.is_open and queue.owner is not None:
                self._send(command, queue.owner)
            else:
                queue.waiting.append(command)
                self._go_on(queue)
        return command.answer

    def _forget_overdue(self) -> None:
        for queue in self._queues:
            queue.forget_done()

    def _send(self, command: QueuedCommand, server: RedisAddress, *, asking: bool = False) -> None:
        command.queue.under_way += 1
        if asking:
            self._asked.add(server)
        answer = self._masters.open(server).pipeline.submit(command.words, command.script, asking=asking)
        answer.add_done_callback(partial(self._answered, command, server))

    def _answered(self, command: QueuedCommand, server: RedisAddress, answer: "asyncio.Future[Reply]") -> None:
        command.queue.under_way -= 1
        error = answer.exception()
        if error is None:
            self._in_flight.answer(command, answer.result())
        elif not isinstance(error, CommandFailed):
            raise error
        elif (redirection := self._redirection_of(error, server)) is not None:
            self._came_back(command, redirection)
        else:
            self._in_flight.fail(command, error)
        self._in_flight.forget_done()
        if not command.queue.is_open:
            self._go_on(command.queue)

    def _redirection_of(self, error: CommandFailed, server: RedisAddress) -> Redirection | None:
        """Where to send a command that `server` certainly did not execute. None: it may have."""
        if error.is_returned:
            return Redirection(RedirectionKind.RETRY)
        if error.refusal is None:
            return None
        return read_redirection(error.refusal, asked=server, at=self._cluster.address.at)

    def _came_back(self, command: QueuedCommand, redirection: Redirection) -> None:
        queue = command.queue
        self._redirected += 1
        queue.returned.append(command)
        command.asks = redirection.server if redirection.kind is RedirectionKind.ASK else None
        match redirection.kind:
            case RedirectionKind.MOVED:
                queue.has_to_wait = True  # until the map is a newer one
                self._cluster.stale(redirection.server)
            case RedirectionKind.RETRY if not queue.has_to_wait:
                queue.has_to_wait = True
                asyncio.get_running_loop().call_later(TRY_AGAIN_AFTER, self._try_again, queue)
            case _:
                pass

    def _try_again(self, queue: PartitionQueue) -> None:
        queue.has_to_wait = False
        self._go_on(queue)

    def _go_on(self, queue: PartitionQueue) -> None:
        """Send what waits, once all that was sent before it is answered."""
        server = self._cluster.map.owners[queue.partition]
        master = None if server is None else self._masters.get(server)
        if master is not None and master.is_connected:
            for command, goes_to in queue.take(master.server):
                self._send(command, goes_to, asking=goes_to != master.server)

    # ---- masters

    def _make(self, server: RedisAddress) -> MasterPipeline:
        return MasterPipeline(
            server,
            name=self._name,
            scripts=self._scripts,
            on_state=self._connected,
            greet=self._greet_master,
            command_timeout=self.command_timeout,
        )

    def _connected(self, master: MasterPipeline, connected: bool) -> None:
        master.connection += 1
        master.identity = None
        if connected:
            master.to_greet.set()
            return
        for queue in self._queues:
            if queue.owner == master.server:
                queue.owner = None
        master.pipeline.return_unsent()
        self._cluster.stale()
        self._look()

    def _told(self) -> None:
        """There has been a look at the cluster: has anything moved?"""
        seen = self._cluster.map
        self._masters.keep(seen.masters.keys() | self._asked)
        self._asked.clear()
        for queue, owner in zip(self._queues, seen.owners, strict=True):
            if queue.owner != owner:
                self._note_arrival(queue, owner)
                queue.owner = None
            if queue.has_to_wait or queue.returned:
                self._try_again(queue)
        for master in self._masters:
            if self._not_greeted(master):
                master.to_greet.set()
        self._look()

    def _note_arrival(self, queue: PartitionQueue, owner: RedisAddress | None) -> None:
        former = self._masters.get(queue.owner) if queue.owner else None
        taker = self._masters.get(owner) if owner else None
        self._moved_partitions.pop(queue.partition, None)
        if former is None or taker is None or taker.identity is None:
            return
        if taker.identity.is_older_than(self._cluster.look_before):
            self._moved_partitions[queue.partition] = MovedPartition(former.pipeline, taker.identity)

    def _not_greeted(self, master: MasterPipeline) -> list[int]:
        """Its partitions for which it has not been greeted."""
        mine = self._cluster.map.masters.get(master.server, ())
        return [part for part in mine if self._queues[part].owner is None]

    async def _greet_master(self, master: MasterPipeline) -> None:
        attempts = 0
        if master.is_connected and master.identity is None:
            try:
                master.identity = await identity_of(master.pipeline)
            except Unavailable:
                pass  # then it adopts nothing
        while master.is_connected and (partitions := self._not_greeted(master)):
            attempts += 1
            pieces = [partitions] if attempts <= GREETINGS_TOGETHER else [[part] for part in partitions]
            if not all(await asyncio.gather(*(self._greet_for(master, piece) for piece in pieces))):
                if attempts == GREETINGS_TOGETHER:
                    _log.warning("a master does not serve all that it should", redis=str(master.server))
                await asyncio.sleep(GREET_AGAIN_AFTER)

    async def _greet_for(self, master: MasterPipeline, partitions: list[int]) -> bool:
        """True once they are open, as far as they are still its own."""
        connection = master.connection
        bus = PartitionRouter(partial(self._take, greets=True))
        moved_partitions = {part: moved for part in partitions if (moved := self._moved_partitions.pop(part, None))}
        try:
            for moved in set(moved_partitions.values()):
                await keep_epoch_of_moved_slot(
                    bus, moved, [self._server_key(part) for part, one in moved_partitions.items() if one == moved]
                )
            await self._on_connected(bus, partitions)
        except Unavailable as error:
            _log.debug("could not greet a master", redis=str(master.server), error=error.message)
            return False
        if master.connection != connection or not master.is_connected:
            return False
        for part in partitions:
            if self._cluster.map.owners[part] == master.server:
                self._queues[part].owner = master.server
                self._go_on(self._queues[part])
        self._look()
        return True

    def _look(self) -> None:
        """Is there a master for every partition, and has each been greeted?"""
        seen, greeted = self._cluster.map, {queue.owner for queue in self._queues}
        if seen.is_whole and seen.masters.keys() <= greeted:
            self.connected.set()
        else:
            self.connected.clear()
