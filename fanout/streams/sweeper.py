"""Streams whose producers have died: each node looks for them, and ends them as lost.

Every node sweeps, and none is the leader. A stream that is due is claimed for a moment. Where two nodes try to end it,
one of them does.
"""

import asyncio

from ...shared.channels import PARTITIONS
from ...shared.errors import Refused, Unavailable
from ...shared.logs import get_logger
from ...shared.streams import StreamStatus
from ..redis.errors import words_of
from .producing import StreamProducing
from .reading import StreamReading

SWEEP_SECONDS = 1.0
"""Between two sweeps of a node over all partitions."""

_log = get_logger("tannoy.streams")


class StreamSweeper:
    """Needs `run` running."""

    def __init__(self, reading: StreamReading, producing: StreamProducing) -> None:
        self._reading = reading
        self._producing = producing
        self.lost = 0
        """Streams that this node has ended as lost."""

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Unavailable as error:
                _log.debug("could not look for lost streams", error=words_of(error))

    async def sweep(self) -> None:
        """End what is lost in all partitions. Raises Unavailable, where some could not be ended."""
        failure: Unavailable | None = None
        for claimed in await asyncio.gather(*(self._reading.claim_due(part) for part in range(PARTITIONS))):
            for channel, stream_id in claimed:
                try:
                    ended = await self._producing.end(channel, stream_id, StreamStatus.LOST)
                except Unavailable as error:
                    failure = error  # it may be this stream alone that can't be read
                    continue
                except Refused:
                    continue  # its producer was heard meanwhile, or its keys are gone
                if ended.status is StreamStatus.LOST:
                    self.lost += 1
                    _log.warning("a stream is lost", channel=channel.name, stream=stream_id, bytes=ended.to)
        if failure is not None:
            raise failure
