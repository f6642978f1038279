"""Which master of a Redis Cluster serves which of our partitions, and what its refusals mean; without I/O."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ...shared.channels import PARTITIONS
from ...shared.keyspace import PARTITION_SLOTS
from ..redis.address import RedisAddress

At = Callable[[str, int], RedisAddress]
"""(host, port): the server there, with all that we know of how to talk to it."""


@dataclass(frozen=True, slots=True)
class SlotMap:
    """The master of each partition, as one server saw it. The higher the epoch, the newer the view."""

    owners: tuple[RedisAddress | None, ...] = (None,) * PARTITIONS
    epoch: int = 0

    @property
    def masters(self) -> dict[RedisAddress, tuple[int, ...]]:
        """All that serve us, each with its partitions, rising."""
        found: dict[RedisAddress, list[int]] = {}
        for part, owner in enumerate(self.owners):
            if owner is not None:
                found.setdefault(owner, []).append(part)
        return {master: tuple(parts) for master, parts in found.items()}

    @property
    def is_whole(self) -> bool:
        """Every partition has a master."""
        return None not in self.owners


def read_slots(reply: Iterable[Any], epoch: int, *, asked: RedisAddress, at: At) -> SlotMap:
    """What `asked` has answered to CLUSTER SLOTS. Raises ValueError, TypeError: it was something else."""
    owners: list[RedisAddress | None] = [None] * PARTITIONS
    for entry in reply:
        match entry:
            case [int() as first, int() as last, [None | bytes() as host, int() as port, *_], *_]:
                owner = at(_host(host, asked), port)
            case _:
                raise ValueError(f"no ranges of slots: {entry!r:.80}")
        for part, slot in enumerate(PARTITION_SLOTS):
            if first <= slot <= last:
                owners[part] = owner
    return SlotMap(tuple(owners), epoch)


def _host(told: bytes | None, asked: RedisAddress) -> str:
    """A server that does not know its own name is where it was asked; one without an endpoint to tell is too."""
    return asked.host if told is None or told in (b"", b"?") else told.decode()


class Refusal(Enum):
    """Why a server of a cluster has not carried out a command."""

    MOVED = auto()  # another one serves its slot
    ASK = auto()  # its slot is on its way to another one, and its keys are there already
    LATER = auto()  # its keys are being moved, or nobody serves its slot just now


@dataclass(frozen=True, slots=True)
class NotHere:
    """`server`: which one it is that has to be asked instead, where that is known."""

    refusal: Refusal
    server: RedisAddress | None = None


_LATER = ("TRYAGAIN ", "CLUSTERDOWN ")


def read_refusal(error: str, *, asked: RedisAddress, at: At) -> NotHere | None:
    """What an error of `asked` says about where to go. None: it is about the command itself.

    Every error that is read here is given before a command is carried out. Inside scripts Redis words them otherwise.
    """
    if error.startswith(_LATER):
        return NotHere(Refusal.LATER)
    match error.split(" "):
        case ["MOVED" | "ASK" as kind, _, endpoint]:
            host, _, port = endpoint.rpartition(":")
            if port.isascii() and port.isdigit():
                return NotHere(Refusal[kind], at(_host(host.encode(), asked), int(port)))
            return NotHere(Refusal.LATER)
        case _:
            return None
