"""A lease: the right of one session to be connected, counted against the limit of its agent or of its user.

Its name in Redis is INCARNATION|NUMBER|SESSION: the process that holds it, which of its leases it is, and the name of
the session among those of its owner. No two leases ever have the same name.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ...shared.channels import Owner
from ...shared.sessions import CloseOrder


@dataclass(slots=True, eq=False)
class Lease:
    """A lease that is held, or that is being acquired. `info` is a `SessionInfo` as JSON."""

    owner: Owner
    name: str
    info: bytes
    on_lost: Callable[[CloseOrder], None]
    """Closes the session. Called when the lease is lost, or when its session has to make room for another one."""
    generation: str = ""
    """Given by Redis with the lease; rises with every lease of an owner. Empty until the lease is held."""
    is_local: bool = False
    """Granted by this node alone while Redis was away (`LIMIT_MODE=available`); Redis has still to confirm it."""
    was_requested: bool = False
    """Whether Redis may know of it, so that it has to be released there."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when Redis should be asked again at once, because another node says that the lease is free."""

    @property
    def session(self) -> str:
        return session_of(self.name)


def incarnation_of(lease: str) -> str:
    return lease.partition("|")[0]


def session_of(lease: str) -> str:
    return lease.split("|", 2)[2]
