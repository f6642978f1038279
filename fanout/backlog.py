"""What waits in Redis for something outside of it: messages for the archive, events for the target of the HTTP hooks.

Each partition has a stream of its own, which a script bounds (`lua/backlog_common.lua`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..shared.channels import PARTITIONS
from .redis.pipeline import AnyPipeline
from .scripts import BACKLOG_WAITING


@dataclass(frozen=True, slots=True)
class BacklogStatistics:
    """Of all partitions together."""

    waiting: int
    """Entries that are not written, or delivered, yet."""
    lag: float
    """Seconds for which the oldest of them has waited."""
    lost: int
    """Entries that had to leave the backlog for want of room, at most, since Redis has its data."""


class Waiting(NamedTuple):
    """What waits in one partition."""

    entries: int
    milliseconds: int
    lost: int


async def read_waiting(
    pipeline: AnyPipeline, stream_of: Callable[[int], bytes], lost_of: Callable[[int], bytes]
) -> dict[int, Waiting]:
    """What waits in each partition in which anything does, or has been lost. Raises Unavailable."""
    asked = (pipeline.run_script(BACKLOG_WAITING, (stream_of(part), lost_of(part)), ()) for part in range(PARTITIONS))
    found = {part: Waiting(*map(int, reply)) for part, reply in enumerate(await asyncio.gather(*asked))}
    return {part: waiting for part, waiting in found.items() if waiting.entries or waiting.lost}


def summarize(waiting: dict[int, Waiting]) -> BacklogStatistics:
    """The figures of all partitions together."""
    return BacklogStatistics(
        waiting=sum(each.entries for each in waiting.values()),
        lag=max((each.milliseconds for each in waiting.values()), default=0) / 1000,
        lost=sum(each.lost for each in waiting.values()),
    )
