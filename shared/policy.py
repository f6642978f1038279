"""Pure decisions. No clock, no socket, no Redis: everything a decision rests on is a parameter."""

from enum import StrEnum


class SlowPolicy(StrEnum):
    """What happens when a socket's way out is full."""

    DISCONNECT = "disconnect"
    """Close with 4002: the client comes back and recovers."""
    SKIP = "skip"
    """Drop what is queued of its channels and tell it with `resync`; answers to its own commands stay."""


class LimitPolicy(StrEnum):
    """What happens when somebody comes and every place is taken."""

    REJECT = "reject"
    """The newcomer is turned away, and told when to come back."""
    EVICT_OLDEST = "evict_oldest"
    """The oldest session has to go, and is closed before the newcomer is let in."""


class LimitMode(StrEnum):
    """What happens to limited sessions while Redis is away."""

    STRICT = "strict"
    """They are closed before anybody else can have taken their places: the limit holds, whatever happens."""
    AVAILABLE = "available"
    """They stay, a few newcomers are let in, and what is too many is closed afterwards."""


def local_share(limit: int, nodes: int) -> int:
    """How many newcomers of one owner a node lets in by itself, while Redis is away and the mode is `available`.

    All nodes together let in at most about one limit's worth, on top of those that are there.
    """
    return max(1, limit // max(1, nodes))


class Overflow(StrEnum):
    """The verdict on one frame that does not fit."""

    CLOSE = "close"
    DROP = "drop"


def decide_overflow(policy: SlowPolicy, *, is_answer: bool, answers_bytes: int, limit_bytes: int) -> Overflow:
    """Decide over a full outbox.

    `skip` may drop what a channel said, since `resync` tells of it; answers have no such stand-in, so a client that
    piles up answers alone beyond the limit is closed under either policy.
    """
    if policy is SlowPolicy.DISCONNECT:
        return Overflow.CLOSE
    if is_answer and answers_bytes > limit_bytes:
        return Overflow.CLOSE
    return Overflow.DROP
