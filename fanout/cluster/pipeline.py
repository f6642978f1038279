"""A pipeline to all masters of a Redis Cluster: each command goes to the master that serves its partition.

Each partition has a queue (`partition_queue.py`). It is open while its master is known, connected, and has been checked
for the partition: `on_connected` has run for it, and a moved partition has kept its epoch where that is safe. A command
that a server certainly has not executed (MOVED, ASK, TRYAGAIN, CLUSTERDOWN, or given back unsent) returns to its queue
and is sent again, in the order in which it came. No other command is ever sent twice.

A command is counted once, and has one deadline, from when it is accepted until it is answered. Neither depends on how
often it is sent, nor on which master it is sent to.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...shared.channels import PARTITIONS
from ...shared.errors import Unavailable
from ...shared.logs import get_logger
from ...shared.partitions import partition_of
from ..redis.address import RedisAddress
from ..redis.connection import RedisConnection, Reply, Word
from ..redis.errors import CommandFailed
from ..redis.in_flight import COMMAND_TIMEOUT, OVERTAKEN, InFlight, overtaken
from ..redis.pipeline import OnConnected, OnRefused, PipelineStatistics, ignore_refusal
from ..redis.script import Script
from ..scripts import SERVER_ADOPT
from .master_pipeline import MasterPipeline
from .partition_queue import PartitionQueue, QueuedCommand
from .per_master import PerMaster
from .routing import PartitionRouter
from .slot_migration import MovedPartition, identity_of, keep_epoch_of_moved_slot
from .slots import Redirection, RedirectionKind, read_redirection
from .topology import ClusterTopology

RETRY_AFTER = 0.03
"""Seconds until the commands of a partition whose keys are being migrated are sent again."""
CHECK_AGAIN_AFTER = 0.1
"""Seconds between two attempts to check a master."""
CHECKS_TOGETHER = 2
"""Attempts to check a master for all its partitions at once; then each alone, so that one can't hold up the others."""

_log = get_logger("tannoy.cluster")


@dataclass(frozen=True, slots=True)
class ClusterPipelineStatistics(PipelineStatistics):
    redirected: int
    """Commands that a server did not execute and that were sent again."""


class ClusterPipeline(PartitionRouter):
    """Used like a Pipeline. Needs `run` running, and that of `topology`.

    `server_key` gives the key of a partition in which the identity of its server is stored.
    """

    def __init__(
        self,
        topology: ClusterTopology,
        *,
        name: str,
        scripts: tuple[Script, ...],
        on_connected: OnConnected,
        server_key: Callable[[int], bytes],
        on_refused: OnRefused = ignore_refusal,
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        super().__init__(
            partial(self._accept, is_check=False), lambda part: self.connection_to(topology.slot_map.owners[part])
        )
        self.connected = asyncio.Event()
        """Set while every partition has a master that takes commands."""
        self.command_timeout = command_timeout
        self._topology, self._name = topology, name
        self._scripts = (*(script.sharded for script in scripts), SERVER_ADOPT)
        self._on_connected, self._on_refused, self._server_key = on_connected, on_refused, server_key
        self._queues = [PartitionQueue(part) for part in range(PARTITIONS)]
        self._in_flight: InFlight[QueuedCommand] = InFlight(self._forget_overdue)
        self._masters: PerMaster[MasterPipeline] = PerMaster(self._make)
        self._moved_partitions: dict[int, MovedPartition] = {}  # moved to another master, and not checked there yet
        self._ask_servers: set[RedisAddress] = set()  # migration targets that got commands since the last refresh
        self._redirected = 0
        topology.add_listener(self._on_refreshed, self.connected.is_set)

    # ---- AnyPipeline

    def publish(self, channel: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """Send SPUBLISH. The result is the number of links that received it: all subscribe at the slot's master."""
        return self._accept(("SPUBLISH", channel, payload), None, partition_of(channel), is_check=False)

    def connection_to(self, server: RedisAddress | None) -> RedisConnection | None:
        """The connection that takes commands to a master now."""
        master = self._masters.get(server) if server else None
        return master.writer.connection if master else None

    async def run(self) -> None:
        """Keep a connection to each master for ever. Raises only what no retry can mend."""
        self._on_refreshed()
        await self._masters.run()

    def statistics(self) -> ClusterPipelineStatistics:
        commands = self._in_flight.statistics()
        return ClusterPipelineStatistics(
            *(
                self.connected.is_set(),
                commands.answered,
                commands.failed,
                commands.in_flight,
                commands.in_flight_bytes,
            ),
            *(commands.script_calls, commands.durations, self._redirected),
        )

    # ---- the way of a command

    def _accept(
        self, words: tuple[Word, ...], script: Script | None, partition: int, *, is_check: bool
    ) -> asyncio.Future[Reply]:
        queue = self._queues[partition]
        command = QueuedCommand(queue, words, script, is_check, self.command_timeout)
        if self._in_flight.admit(command):
            if queue.is_open and queue.owner is not None:
                self._send(command, queue.owner)
            else:
                queue.waiting.append(command)
                self._send_waiting(queue)
        return command.answer

    def _forget_overdue(self) -> None:
        for queue in self._queues:
            queue.forget_done()
        for master in self._masters:
            master.writer.drop_done()

    def _send(self, command: QueuedCommand, server: RedisAddress, *, asking: bool = False) -> None:
        command.queue.in_flight += 1
        command.asking = asking
        if asking:
            self._ask_servers.add(server)
        self._masters.open(server).writer.write(command)

    def _handle_answer(self, command: QueuedCommand, reply: Reply) -> None:
        queue = command.queue
        self._in_flight.answer(command, reply)
        if queue.returned:
            for each in overtaken(queue.returned, command):
                self._in_flight.fail(each, CommandFailed(OVERTAKEN))
        self._handle_end(queue)

    def _handle_failure(self, server: RedisAddress, command: QueuedCommand, error: CommandFailed) -> None:
        if not command.answer.done():
            redirection = self._redirection_of(error, server)
            if redirection is not None:
                self._return(command, redirection)
            else:
                self._in_flight.fail(command, error)
                if error.refusal is not None:
                    self._on_refused(self, command.words, error.refusal)
        self._handle_end(command.queue)

    def _handle_end(self, queue: PartitionQueue) -> None:
        """A server is done with a command that it was sent."""
        queue.in_flight -= 1
        self._in_flight.forget_done()
        if not queue.is_open:
            self._send_waiting(queue)

    def _redirection_of(self, error: CommandFailed, server: RedisAddress) -> Redirection | None:
        """Where to send a command that `server` certainly did not execute. None: it may have."""
        if error.is_returned:
            return Redirection(RedirectionKind.RETRY)
        if error.refusal is None:
            return None
        return read_redirection(error.refusal, asked=server, at=self._topology.address.at)

    def _return(self, command: QueuedCommand, redirection: Redirection) -> None:
        queue = command.queue
        self._redirected += 1
        queue.returned.append(command)
        command.connection = None  # it waits for no reply
        command.ask_server = redirection.server if redirection.kind is RedirectionKind.ASK else None
        match redirection.kind:
            case RedirectionKind.MOVED:
                queue.is_paused = True  # until the slot map is a newer one
                self._topology.refresh_soon(redirection.server)
            case RedirectionKind.RETRY if not queue.is_paused:
                queue.is_paused = True
                asyncio.get_running_loop().call_later(RETRY_AFTER, self._resume, queue)
            case _:
                pass

    def _resume(self, queue: PartitionQueue) -> None:
        queue.is_paused = False
        self._send_waiting(queue)

    def _send_waiting(self, queue: PartitionQueue) -> None:
        """Send the commands that wait, once all that were sent before them are answered."""
        server = self._topology.slot_map.owners[queue.partition]
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
            on_answered=self._handle_answer,
            on_failed=self._handle_failure,
            on_state=self._on_master_state,
            check=self._check_master,
        )

    def _on_master_state(self, master: MasterPipeline, connected: bool) -> None:
        master.connection_number += 1
        master.identity = None
        if connected:
            master.check_due.set()
            return
        for queue in self._queues:
            if queue.owner == master.server:
                queue.owner = None
        master.writer.return_unsent()
        self._topology.refresh_soon()
        self._update_connected()

    def _on_refreshed(self) -> None:
        """The slot map was read again: act on each partition that has moved."""
        slot_map = self._topology.slot_map
        self._masters.keep(slot_map.masters.keys() | self._ask_servers)
        self._ask_servers.clear()
        for queue, owner in zip(self._queues, slot_map.owners, strict=True):
            if queue.owner != owner:
                self._note_move(queue, owner)
                queue.owner = None
            if queue.is_paused or queue.returned:
                self._resume(queue)
        for master in self._masters:
            if self._unchecked(master):
                master.check_due.set()
        self._update_connected()

    def _note_move(self, queue: PartitionQueue, owner: RedisAddress | None) -> None:
        """Remember from where the partition has come, if that may prove that nothing of it was lost."""
        former, new = (self._masters.get(server) if server else None for server in (queue.owner, owner))
        self._moved_partitions.pop(queue.partition, None)
        if former is None or new is None or new.identity is None:
            return
        if new.identity.was_known_before(self._topology.previous_refresh_at):
            self._moved_partitions[queue.partition] = MovedPartition(former.writer, new.identity)

    def _unchecked(self, master: MasterPipeline) -> list[int]:
        """The partitions of a master for which it has not been checked."""
        mine = self._topology.slot_map.masters.get(master.server, ())
        return [part for part in mine if self._queues[part].owner is None]

    async def _check_master(self, master: MasterPipeline) -> None:
        attempts = 0
        if master.writer.connection is not None and master.identity is None:
            master.identity = await identity_of(master.writer.connection, self.command_timeout)
        while master.is_connected and (partitions := self._unchecked(master)):
            attempts += 1
            groups = [partitions] if attempts <= CHECKS_TOGETHER else [[part] for part in partitions]
            if not all(await asyncio.gather(*(self._check_partitions(master, group) for group in groups))):
                if attempts == CHECKS_TOGETHER:
                    _log.warning("a master does not serve all partitions that it should", redis=str(master.server))
                await asyncio.sleep(CHECK_AGAIN_AFTER)

    async def _check_partitions(self, master: MasterPipeline, partitions: list[int]) -> bool:
        """Open the queues of these partitions, as far as the master still serves them. False: it has failed."""
        connection_number = master.connection_number
        commands = PartitionRouter(partial(self._accept, is_check=True), self.connection_for)
        moved_partitions = {part: moved for part in partitions if (moved := self._moved_partitions.pop(part, None))}
        try:
            for moved in set(moved_partitions.values()):
                server_keys = [self._server_key(part) for part, each in moved_partitions.items() if each == moved]
                await keep_epoch_of_moved_slot(commands, moved, server_keys, self.command_timeout)
            await self._on_connected(commands, partitions)
        except Unavailable as error:
            _log.debug("could not check a master", redis=str(master.server), error=error.message)
            return False
        if master.connection_number != connection_number or not master.is_connected:
            return False
        for part in partitions:
            if self._topology.slot_map.owners[part] == master.server:
                self._queues[part].owner = master.server
                self._send_waiting(self._queues[part])
        self._update_connected()
        return True

    def _update_connected(self) -> None:
        """`connected` is set while every partition has a master, and each master has been checked."""
        slot_map, checked = self._topology.slot_map, {queue.owner for queue in self._queues}
        if slot_map.is_whole and slot_map.masters.keys() <= checked:
            self.connected.set()
        else:
            self.connected.clear()
