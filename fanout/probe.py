"""Whether Redis takes publishes, found out before a client has to: by publishing to nobody, each second.

A connection that answers is not enough. Redis refuses writes while it is out of memory, can't save its data, has too
few replicas or is one itself, and the user of the node may lack a right; heartbeats may go through all the same.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence

import structlog

from ..shared.errors import Unavailable
from ..shared.keyspace import Keyspace
from .redis.errors import reason_of, words_of
from .redis.pipeline import AnyPipeline
from .scripts import PUBLISH_ONCE

PERIOD = 1.0
"""Seconds between two probes, and for which a probe's key is kept."""

_log = structlog.get_logger("tannoy.bus")


class PublishProbe:
    """Needs `run` running. `partitions` gives one partition of each master."""

    def __init__(self, pipeline: AnyPipeline, keyspace: Keyspace, partitions: Callable[[], Sequence[int]]) -> None:
        self.refusal: str | None = None
        """Why the last probe has failed; None: it was published."""
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._partitions = partitions
        self._process = secrets.token_hex(8)

    async def run(self) -> None:
        """Probe for ever, while the pipeline is connected."""
        while True:
            await self._pipeline.connected.wait()
            try:
                await asyncio.gather(*map(self._publish, self._partitions()))
            except Unavailable as error:
                if self.refusal is None:
                    _log.warning("Redis takes no publishes", error=words_of(error))
                self.refusal = reason_of(error)
            else:
                if self.refusal is not None:
                    _log.info("Redis takes publishes again")
                self.refusal = None
            await asyncio.sleep(PERIOD)

    async def _publish(self, partition: int) -> None:
        """As a message is: a script writes a key and publishes. Raises Unavailable."""
        name = self._keyspace.probe(partition, self._process)
        await self._pipeline.run_script(PUBLISH_ONCE, (name,), (name, b"", int(PERIOD)))
