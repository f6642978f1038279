"""What a place is called, who holds it, and why it was lost: the words of `manager.py`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ...shared.channels import Owner, OwnerKind
from ...shared.sessions import CloseOrder


@dataclass(slots=True, eq=False)
class Lease:
    """One session's place, or its wish for one. `name` is INCARNATION|NUMBER|SESSION, `info` is JSON for people."""

    owner: Owner
    name: str
    info: bytes
    on_lost: Callable[[CloseOrder], None]
    generation: str = ""
    """Empty while it is only a wish."""
    is_local: bool = False
    """Let in by this node alone, while Redis is away: still to be confirmed."""
    was_asked: bool = False
    """Whether Redis may know of it."""
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def session(self) -> str:
        return session_of(self.name)


def owner_key(owner: Owner) -> str:
    """An owner as it stands in the set of those whose places a process holds."""
    return f"{owner.kind}:{owner.name}"


def owner_of(word: bytes) -> Owner:
    kind, _, name = word.decode().partition(":")
    return Owner(OwnerKind(kind), name)


def incarnation_of(lease: str) -> str:
    return lease.partition("|")[0]


def session_of(lease: str) -> str:
    return lease.split("|", 2)[2]


def nobody(closing: CloseOrder) -> None:
    """Nobody is behind a lease that only Redis knows of."""
