"""The channels that this node tracks, by address and by partition, and in which order their heads are compared.

To compare all heads each second would cost a node with 100,000 silent channels most of a core. So what may have a hole
comes first: channels with messages since their last comparison, and those that something has marked. All others come in
rotation. While a node has no more than HEADS_PER_PERIOD channels, the rotation is done in one period.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice, zip_longest

from ...shared.channels import PARTITIONS, Channel
from ..batches import batched
from .cursor import Cursor, TrackedChannel

HEADS_PER_PERIOD = 2048
"""Heads that are compared in one period. Each of 100,000 silent channels then has its turn within a minute or so."""
HEADS_IN_ROTATION = 512
"""How many of them, at least, are left to the rotation."""
HEADS_IN_A_ROW = 16
"""Heads of one partition before those of the next one: a master that is away then shows early, and once."""


class TrackedChannels:
    """`by_address` is for reading."""

    def __init__(self) -> None:
        self.by_address: dict[bytes, TrackedChannel] = {}
        self._partitions: list[dict[bytes, TrackedChannel]] = [{} for _ in range(PARTITIONS)]

    def __len__(self) -> int:
        return len(self.by_address)

    def add(self, channel: Channel, cursor: Cursor) -> None:
        tracked = TrackedChannel(channel, cursor)
        self.by_address[channel.address] = self._partitions[tracked.partition][channel.address] = tracked

    def drop(self, address: bytes) -> TrackedChannel | None:
        """Return the channel that was tracked under this address, if there was one."""
        tracked = self.by_address.pop(address, None)
        if tracked is not None:
            del self._partitions[tracked.partition][address]
        return tracked

    def is_tracked(self, tracked: TrackedChannel) -> bool:
        """Whether it was not dropped meanwhile; if its channel is tracked again, that is from another position on."""
        return self.by_address.get(tracked.channel.address) is tracked

    def of_partition(self, partition: int) -> tuple[TrackedChannel, ...]:
        return tuple(self._partitions[partition].values())

    def of_partitions(self, partitions: Iterable[int]) -> Iterator[TrackedChannel]:
        """The channels of these partitions, HEADS_IN_A_ROW of each in turn."""
        rows = zip_longest(*(batched(self.of_partition(part), HEADS_IN_A_ROW) for part in partitions), fillvalue=())
        return chain.from_iterable(chain.from_iterable(rows))


class Rotation:
    """All channels, one partition after the other, again and again."""

    def __init__(self, channels: TrackedChannels) -> None:
        self._channels = channels
        self._partition = 0
        self._rest: Iterator[TrackedChannel] = iter(())

    def take(self, count: int) -> list[TrackedChannel]:
        """The next ones: `count`, or all. Some of them may have been dropped meanwhile."""
        count = min(count, len(self._channels))
        taken: list[TrackedChannel] = []
        for _ in range(PARTITIONS + 1):
            taken += islice(self._rest, count - len(taken))
            if len(taken) == count:
                break
            self._rest = iter(self._channels.of_partition(self._partition))
            self._partition = (self._partition + 1) % PARTITIONS
        return taken


class ComparisonSchedule:
    """Which channels are compared next, without I/O."""

    def __init__(self, channels: TrackedChannels) -> None:
        self.active: set[bytes] = set()
        """Addresses of channels with messages since they were last compared. The tracker adds to it: `update` is all
        that a batch of messages costs here."""
        self._channels = channels
        self._due: dict[bytes, None] = {}  # addresses, in the order in which they are compared
        self._partitions: set[int] = set()
        self._rotation = Rotation(channels)

    def mark(self, channels: Iterable[TrackedChannel]) -> None:
        """These may have a hole: compare them with the next ones."""
        self.active.update(tracked.channel.address for tracked in channels)

    def mark_partitions(self, partitions: Collection[int]) -> None:
        """All channels of these partitions may have a hole."""
        self._partitions.update(partitions)

    def take_partitions(self) -> set[int]:
        """The partitions that were marked. The caller marks those again that it could not compare."""
        taken, self._partitions = self._partitions, set()
        return taken

    def take_due(self) -> list[TrackedChannel]:
        """The channels that were active or marked, those that have waited longest first."""
        self._due.update(dict.fromkeys(self.active))
        self.active.clear()
        addresses = tuple(islice(self._due, HEADS_PER_PERIOD - HEADS_IN_ROTATION))
        for address in addresses:
            del self._due[address]
        by_address = self._channels.by_address
        return [tracked for address in addresses if (tracked := by_address.get(address))]

    def take_in_rotation(self, beside: Collection[TrackedChannel]) -> list[TrackedChannel]:
        """Those whose turn it is, without those that are compared now anyway."""
        taken = self._rotation.take(HEADS_PER_PERIOD - len(beside))
        known = set(beside)
        return [tracked for tracked in taken if tracked not in known]
