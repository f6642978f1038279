"""The commands of plain and of sharded pub/sub."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...shared.partitions import partition_of
from ..batches import batched

CHANNELS_PER_COMMAND = 512
"""Channels in one SUBSCRIBE: long enough to be cheap, short enough not to stall Redis."""


@dataclass(frozen=True, slots=True)
class Verbs:
    """The commands of plain or sharded pub/sub, and the kind of push that holds a message.

    `slot_of`, for sharded pub/sub, gives the slot of a channel: all channels of one command have to share it.
    """

    subscribe: str
    unsubscribe: str
    publish: str
    message: bytes
    slot_of: Callable[[bytes], int] | None = None

    @property
    def is_sharded(self) -> bool:
        return self.slot_of is not None

    def group(self, channels: Iterable[bytes]) -> list[list[bytes]]:
        """The channels of each command, in order: at most CHANNELS_PER_COMMAND, and of one slot if sharded."""
        slots: dict[int, list[bytes]] = {}
        for channel in channels:
            slots.setdefault(self.slot_of(channel) if self.slot_of else 0, []).append(channel)
        return [piece for together in slots.values() for piece in batched(together, CHANNELS_PER_COMMAND)]


PLAIN = Verbs("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", b"message")
SHARDED = Verbs("SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH", b"smessage", partition_of)
