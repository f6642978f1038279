"""Whether Redis takes what a node needs of it, found out before a client has to: by trying it, each second.

A connection that answers is not enough. Redis refuses writes while it is out of memory, can't save its data, has too
few replicas or is one itself, and the user of the node may lack a right; heartbeats may go through all the same.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence

from ..shared.errors import Unavailable
from ..shared.keyspace import Keyspace
from ..shared.logs import get_logger
from .history.reader import HistoryRules
from .redis.connection import Reply
from .redis.errors import reason_of, words_of
from .redis.pipeline import AnyPipeline, CommandSender
from .scripts import COORDINATION_PROBE, PUBLISH, PUBLISH_ONCE

PERIOD = 1.0
"""Seconds between two probes, and for which the keys of a publish are kept."""

_log = get_logger("tannoy.bus")


class Probe:
    """Needs `run` running. `what` stands in the log: Redis takes no `what`.

    `send` tries it in one partition, and raises Unavailable. `partitions` gives one partition of each master.
    """

    def __init__(
        self,
        what: str,
        pipeline: AnyPipeline,
        send: Callable[[int], Awaitable[object]],
        partitions: Callable[[], Sequence[int]],
    ) -> None:
        self.refusal: str | None = None
        """Why the last probe has failed; None: Redis took it."""
        self._what = what
        self._pipeline = pipeline
        self._send = send
        self._partitions = partitions

    async def run(self) -> None:
        """Probe for ever, while the pipeline is connected."""
        while True:
            await self._pipeline.connected.wait()
            try:
                await asyncio.gather(*map(self._send, self._partitions()))
            except Unavailable as error:
                if self.refusal is None:
                    _log.warning(f"Redis takes no {self._what}", error=words_of(error))
                self.refusal = reason_of(error)
            else:
                if self.refusal is not None:
                    _log.info(f"Redis takes {self._what} again")
                self.refusal = None
            await asyncio.sleep(PERIOD)


def publish_probe(
    commands: CommandSender, keyspace: Keyspace, rules: HistoryRules
) -> Callable[[int], Awaitable[Reply]]:
    """As a message is, on a channel without subscribers. What it sends raises what `commands` raises."""
    process, seconds = secrets.token_hex(8), int(PERIOD)

    def send(partition: int) -> Awaitable[Reply]:
        name = keyspace.probe(partition, process)
        if not rules.size:
            return commands.run_script(PUBLISH_ONCE, (name,), (name, b"", seconds))
        keys = (keyspace.server(partition), name, name + b":log")
        return commands.run_script(PUBLISH, keys, (1, seconds, seconds, rules.recovery_ms, name, b""))

    return send


def coordination_probe(commands: CommandSender, keyspace: Keyspace) -> Callable[[int], Awaitable[Reply]]:
    """All that the scripts of leases and presence call. What it sends raises what `commands` raises."""

    def send(partition: int) -> Awaitable[Reply]:
        return commands.run_script(COORDINATION_PROBE, (keyspace.probe(partition, "coordination"),), ())

    return send
