"""Which master of a Redis Cluster serves which partition, and what its redirections mean; without I/O."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ...shared.channels import PARTITIONS
from ...shared.partitions import PARTITION_SLOTS
from ..redis.address import RedisAddress
from ..redis.errors import RedisError

At = Callable[[str, int], RedisAddress]
"""(host, port): the address of that server, with the user, password and TLS of the cluster.

Raises ValueError for what is no host or port.
"""


@dataclass(frozen=True, slots=True)
class SlotMap:
    """The master of each partition, as one server sees it. The higher the epoch, the newer the map."""

    owners: tuple[RedisAddress | None, ...] = (None,) * PARTITIONS
    """By partition; None: no master serves it."""
    epoch: int = 0
    """The configuration epoch of the cluster, as the server knows it."""

    @property
    def masters(self) -> dict[RedisAddress, tuple[int, ...]]:
        """Each master that serves partitions, with these partitions in ascending order."""
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
    """The map in the reply of the server `asked` to CLUSTER SLOTS: [[first, last, [host, port, id, …], replica, …], …].

    Raises ValueError or TypeError for any other reply.
    """
    owners: list[RedisAddress | None] = [None] * PARTITIONS
    for entry in reply:
        match entry:
            case [int() as first, int() as last, [None | bytes() as host, int() as port, *_], *_]:
                owner = at(_host(host, asked), port)
            case _:
                raise ValueError(f"not a range of slots: {entry!r:.80}")
        for part, slot in enumerate(PARTITION_SLOTS):
            if first <= slot <= last:
                owners[part] = owner
    return SlotMap(tuple(owners), epoch)


def _host(endpoint: bytes | None, asked: RedisAddress) -> str:
    """The host of a server. Without an endpoint (null, empty or `?`) it is the host of the server that was asked."""
    return asked.host if endpoint is None or endpoint in (b"", b"?") else endpoint.decode()


class RedirectionKind(Enum):
    """What to do with a command that a server of a Redis Cluster did not execute."""

    MOVED = auto()  # another master serves the slot: send it there, once the slot map says so too
    ASK = auto()  # the slot is being migrated and these keys have gone: send it to the target behind ASKING
    RETRY = auto()  # the keys are being migrated, or no master serves the slot now: send it again a little later


@dataclass(frozen=True, slots=True)
class Redirection:
    """A command was not executed. `server` is the one to send it to, where the reply names one."""

    kind: RedirectionKind
    server: RedisAddress | None = None


def read_redirection(error: RedisError, *, asked: RedisAddress, at: At) -> Redirection | None:
    """What the reply of the server `asked` says about where to send the command. None: it is about the command itself.

    Redis gives each error that is read here before it executes the command. Inside scripts it words them differently.
    """
    if error.code in ("TRYAGAIN", "CLUSTERDOWN"):
        return Redirection(RedirectionKind.RETRY)
    match str(error).split(" "):
        case ["MOVED" | "ASK" as kind, _, endpoint]:
            host, _, port = endpoint.rpartition(":")
            try:
                return Redirection(RedirectionKind[kind], at(_host(host.encode(), asked), int(port)))
            except ValueError:
                return Redirection(RedirectionKind.RETRY)  # the slot map tells where, or why it is invalid too
        case _:
            return None
