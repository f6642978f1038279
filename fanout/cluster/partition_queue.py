"""The commands to one partition of a Redis Cluster, kept in order across redirections; without I/O.

The queue is open while its master has been checked and nothing is held back: then commands go straight to the master
and are only counted here. After a redirected command it sends nothing until all commands in flight are answered, so
that the redirected ones, which came first, also go first:

    owner    in_flight  returned, waiting, paused  what a new command does
    a master any        all empty                  is sent at once (open)
    a master > 0        any not empty              waits: some of those in flight may still come back
    a master 0          not empty, not paused      waits, and `take` sends all: first returned, then waiting
    any      any        paused                     waits for a newer slot map, or for a moment
    None     0          any                        only checks are sent: the master has not been checked
"""

from ..redis.address import RedisAddress
from ..redis.connection import Word
from ..redis.in_flight import COMMAND_TIMEOUT, RedisCommand
from ..redis.script import Script


class QueuedCommand(RedisCommand):
    """A command and its queue. `is_check`: it is part of the check of a master, and goes before all others.

    `ask_server` is the target of a migration to which the command goes next time, behind ASKING; None: to the owner.
    """

    __slots__ = ("ask_server", "is_check", "queue")

    def __init__(
        self,
        queue: "PartitionQueue",
        words: tuple[Word, ...],
        script: Script | None,
        is_check: bool,
        timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        super().__init__(words, script, timeout)
        self.queue = queue
        self.is_check = is_check
        self.ask_server: RedisAddress | None = None


class PartitionQueue:
    """Sends nothing until the master has been checked, nor, after a redirection, until all in flight are answered."""

    __slots__ = ("in_flight", "is_paused", "owner", "partition", "returned", "waiting")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.owner: RedisAddress | None = None
        """The master that has been checked for this partition; None: none has."""
        self.in_flight = 0
        """Commands that were sent, and are neither answered nor redirected."""
        self.returned: list[QueuedCommand] = []
        """Commands that were redirected; they came before those in `waiting`."""
        self.waiting: list[QueuedCommand] = []
        """Commands that were not sent yet."""
        self.is_paused = False
        """Until the slot map is a newer one, or for a moment."""

    @property
    def is_open(self) -> bool:
        return self.owner is not None and not (self.returned or self.waiting or self.is_paused)

    def take(self, owner: RedisAddress) -> list[tuple[QueuedCommand, RedisAddress]]:
        """The commands that may be sent now, in order, each with its server; empty while any is in flight.

        During a migration keys go from the owner to the target one by one, and none comes back. A command goes to the
        target only while all in front of it do too: behind one that goes to the owner, all go to the owner, so that
        none overtakes it. Those whose keys have gone are redirected once more.
        """
        if self.in_flight or self.is_paused:
            return []
        commands = [command for command in (*self.returned, *self.waiting) if not command.answer.done()]
        self.returned, self.waiting = [], []
        if self.owner is None:
            self.waiting = [command for command in commands if not command.is_check]
            commands = [command for command in commands if command.is_check]
        taken: list[tuple[QueuedCommand, RedisAddress]] = []
        may_ask = True
        for command in commands:
            ask_server, command.ask_server = command.ask_server, None
            may_ask = may_ask and ask_server is not None
            taken.append((command, ask_server if may_ask and ask_server else owner))
        return taken

    def forget_done(self) -> None:
        """Drop commands that have failed while they waited."""
        self.returned = [command for command in self.returned if not command.answer.done()]
        self.waiting = [command for command in self.waiting if not command.answer.done()]
