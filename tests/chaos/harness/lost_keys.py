"""The fault "some keys vanish": which keys are deleted, and which oracle may excuse what.

A share of all keys is deleted at once, but of each *whole* (a room, an agent, a process in a partition) one at most:
nothing may depend on one key alone, and no more is promised (`docs/redis.md`).
"""

import random
from collections import defaultdict
from collections.abc import Iterable

from tests.chaos.harness.fault_spans import FaultSpan
from tests.chaos.harness.history import FaultKind

SHARE = 0.2
"""Of all wholes, how many lose a key."""
MENDED_WITHIN = 30.0
"""Seconds until what was lost is rebuilt, on a busy machine: a round of anti-entropy and a lease."""
_LIMITS = ("limit", "limits")
"""An agent's own limit stands in these two keys: both may not vanish together."""


def _parts(key: str) -> tuple[str, str, str]:
    """Tag, kind, and what the key belongs to; "" if that is the partition."""
    tag, _, name = key.partition("}:")
    kind, _, rest = name.partition(":")
    return tag, kind, rest.partition(":")[2] if kind == "in" else rest


def _whole_of(key: str) -> tuple[str, ...]:
    tag, kind, rest = _parts(key)
    if kind in _LIMITS:
        return tag, "limits"
    return (tag, kind) if rest == "" else (tag, rest)


def choose_keys(keys: Iterable[str], chance: random.Random) -> list[str]:
    """Some of the keys, at least one if there are any, and no two of the same whole."""
    wholes: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in sorted(keys):
        wholes[_whole_of(key)].append(key)
    some = chance.sample(sorted(wholes), min(len(wholes), max(1, round(SHARE * len(wholes)))))
    return [chance.choice(wholes[whole]) for whole in some]


def has_lost(span: FaultSpan, whole: str, *kinds: str) -> bool:
    """Whether this fault has deleted a key of one of these kinds that belongs to `whole`: `room:NAME` or `agent:ID`.

    Of `once`, to which the digest of an idempotency key belongs, any one of the room or agent counts.
    """
    if span.kind is not FaultKind.VANISH:
        return False
    lost = (_parts(key) for key in span.target.split(" ")[1:])
    return any(kind in kinds and (rest == whole or rest.startswith(f"{whole}:")) for _, kind, rest in lost)
