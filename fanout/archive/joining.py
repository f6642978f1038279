"""Where the messages of the database and those in Redis meet: which are missing between them. Pure, without I/O.

The offsets of a channel rise for ever, and within an epoch they are consecutive; an archived epoch names the offset at
which it begins. So a jump within an epoch is a hole, and so is one behind the beginning of an epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ...shared.publication import Position


class Gap(NamedTuple):
    """Offsets from `first` to `last`, both inclusive, of which no message is there."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Jump:
    """The offset behind the one at `index` is not the next one."""

    index: int
    between: Gap
    """All offsets that are left out."""
    gap: Gap | None
    """Those of them that messages had; None: none, or nobody knows."""


def start_of(epoch: str) -> int | None:
    """The offset before the first message of an archived epoch; None: it is another epoch."""
    _, _, digits = epoch.partition("_")
    return int(digits) if digits.isdigit() else None


def find_jumps(positions: Sequence[Position], low: int | None, high: Position | None) -> list[Jump]:
    """The jumps in ascending positions, and at their ends, in order.

    `low` is the offset behind which they have to begin, `high` the position in front of which they have to end; None:
    they may begin or end anywhere. An index of -1 stands for a jump in front of all.
    """
    front = [] if low is None else [Position("", low)]
    ends = [*front, *positions, *([] if high is None else [high])]
    found: list[Jump] = []
    for index, (before, after) in enumerate(pairwise(ends), -len(front)):
        if before.offset + 1 < after.offset:
            between = Gap(before.offset + 1, after.offset - 1)
            found.append(Jump(index, between, _gap(before, after)))
    return found


def _gap(before: Position, after: Position) -> Gap | None:
    """What is missing between two neighbours, as far as their epochs tell."""
    start = start_of(after.epoch)
    if start is None:
        return None
    first = max(before.offset, start) + 1
    return Gap(first, after.offset - 1) if first < after.offset else None
