"""What is on its way to one partition of a Redis Cluster, in the order in which it came; without I/O."""

from ..redis.address import RedisAddress
from ..redis.connection import Word
from ..redis.in_flight import COMMAND_TIMEOUT, RedisCommand
from ..redis.script import Script


class QueuedCommand(RedisCommand):
    """`greets`: it is part of a greeting, and goes before all others. `asks`: who has to be asked, out of turn."""

    __slots__ = ("asks", "greets", "queue")

    def __init__(
        self,
        queue: "PartitionQueue",
        words: tuple[Word, ...],
        script: Script | None,
        greets: bool,
        timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        super().__init__(words, script, timeout)
        self.queue = queue
        self.greets = greets
        self.asks: RedisAddress | None = None


class PartitionQueue:
    """Closed until its owner has been greeted, and again from a command's coming back until all others have."""

    __slots__ = ("has_to_wait", "owner", "partition", "returned", "under_way", "waiting")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.owner: RedisAddress | None = None
        """The master that has been greeted for it; None: none has."""
        self.under_way = 0
        """Commands that were sent, and are neither answered nor back."""
        self.returned: list[QueuedCommand] = []
        """Sent and not carried out; they came before those that wait."""
        self.waiting: list[QueuedCommand] = []
        self.has_to_wait = False
        """For a newer map, or for a moment."""

    @property
    def is_open(self) -> bool:
        return self.owner is not None and not (self.returned or self.waiting or self.has_to_wait)

    def take(self, owner: RedisAddress) -> list[tuple[QueuedCommand, RedisAddress]]:
        """What may go now, in order, and where it goes; none while something is under way.

        Keys go over to a new owner one by one, and none comes back. So what has to ask out of turn does not overtake:
        behind a command that goes to the owner, all go there.
        """
        if self.under_way or self.has_to_wait:
            return []
        commands = [command for command in (*self.returned, *self.waiting) if not command.answer.done()]
        self.returned, self.waiting = [], []
        if self.owner is None:
            self.waiting = [command for command in commands if not command.greets]
            commands = [command for command in commands if command.greets]
        going: list[tuple[QueuedCommand, RedisAddress]] = []
        out_of_turn = True
        for command in commands:
            asks, command.asks = command.asks, None
            out_of_turn = out_of_turn and asks is not None
            going.append((command, asks if out_of_turn and asks else owner))
        return going

    def forget_done(self) -> None:
        self.returned = [command for command in self.returned if not command.answer.done()]
        self.waiting = [command for command in self.waiting if not command.answer.done()]
