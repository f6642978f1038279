"""Policies and decisions as pure functions: no clock, no socket, no Redis; every input is a parameter."""

from dataclasses import dataclass
from enum import StrEnum


class SlowPolicy(StrEnum):
    """What happens when the outbox of a connection is full."""

    DISCONNECT = "disconnect"
    """Close with 4002: the client reconnects and recovers."""
    SKIP = "skip"
    """Drop the queued frames of its channels and send `resync` instead; what is for the client alone is kept."""


class LimitPolicy(StrEnum):
    """What happens to a new session when the owner has as many sessions as allowed."""

    REJECT = "reject"
    """The new session is refused, with the time after which to retry."""
    EVICT_OLDEST = "evict_oldest"
    """The oldest session is closed before the new one is admitted."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many sessions an owner may have; `max_sessions` 0: any number."""

    max_sessions: int
    policy: LimitPolicy


class LimitMode(StrEnum):
    """What happens to limited sessions while Redis is not reachable."""

    STRICT = "strict"
    """They are closed before another node can acquire their leases: the limit is never exceeded."""
    AVAILABLE = "available"
    """They stay, each node admits a few new ones, and the surplus is closed when Redis is back."""


def local_share(limit: int, nodes: int) -> int:
    """New sessions of one owner that one node admits while Redis is not reachable and the mode is `available`.

    All nodes together admit about `limit` sessions at most, beside those that exist.
    """
    return max(1, limit // max(1, nodes))


class Overflow(StrEnum):
    """The decision on a frame that does not fit into the outbox."""

    CLOSE = "close"
    DROP = "drop"


def decide_overflow(policy: SlowPolicy, *, is_direct: bool, direct_bytes: int, limit_bytes: int) -> Overflow:
    """Decide what happens when a frame does not fit into the outbox. `is_direct`: it is for this client alone.

    `skip` may drop messages of a channel, since `resync` reports the loss. Private messages can't be replaced in this
    way, so a client for which more of them wait than the limit is disconnected under either policy.
    """
    if policy is SlowPolicy.DISCONNECT:
        return Overflow.CLOSE
    if is_direct and direct_bytes > limit_bytes:
        return Overflow.CLOSE
    return Overflow.DROP
