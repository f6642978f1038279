"""Publishing and reading history: two connections to Redis, without subscriptions and without leases.

This is all that a back end needs; a node builds the other layers upon it.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ..shared.keyspace import Keyspace
from .archive.calls import READER_SCRIPTS
from .backend import RedisBackend
from .history.publisher import PUBLISHING_SCRIPTS, Publisher, ToldChannels
from .history.reader import HistoryReader, HistoryRules
from .probe import Probe, publish_probe
from .pubsub.envelopes import PLAIN, Envelopes
from .redis.pipeline import CommandSender, OnConnected
from .scripts import HEAD_RELEASE, HISTORY_READ, SERVER_DOUBT, SERVER_ENSURE, UNREADABLE_REMOVE
from .server_life import ServerLives
from .streams.producing import PRODUCING_SCRIPTS
from .streams.reading import READING_SCRIPTS


class Messaging:
    """Needs the tasks of `jobs` running. `name` is part of the names under which Redis lists the connections."""

    def __init__(
        self,
        backend: RedisBackend,
        keyspace: Keyspace,
        rules: HistoryRules,
        lives: ServerLives,
        *,
        name: str,
        envelopes: Envelopes = PLAIN,
        told: ToldChannels | None = None,
    ) -> None:
        self._lives = lives
        self._checks: list[OnConnected] = []
        self.publishing = backend.pipeline(
            name=f"tannoy-publisher-{name}",
            scripts=(*PUBLISHING_SCRIPTS, *PRODUCING_SCRIPTS),
            on_connected=self._prepare,
        )
        self.publisher = Publisher(self.publishing, keyspace, rules, envelopes, backend.unreadable, told)
        probe = publish_probe(self.publishing, keyspace, rules)
        self._probe = Probe("publishes", self.publishing, probe, lambda: backend.first_partitions)
        self.reading = backend.pipeline(
            name=f"tannoy-history-{name}",
            scripts=(
                *(SERVER_ENSURE, SERVER_DOUBT, UNREADABLE_REMOVE, HISTORY_READ, HEAD_RELEASE),
                *(*READER_SCRIPTS, *READING_SCRIPTS),
            ),
            on_connected=self._prepare,
        )
        self.history = HistoryReader(self.reading, keyspace, rules, envelopes, backend.unreadable)

    def check_before_use(self, check: OnConnected) -> None:
        """From now on `check` is called on each new connection, before anything is published on it or read."""
        self._checks.append(check)

    async def _prepare(self, commands: CommandSender, partitions: Sequence[int]) -> None:
        await self._lives.on_connected(commands, partitions)
        for check in self._checks:
            await check(commands, partitions)

    @property
    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run, by name."""
        return {"publisher": self.publishing.run, "probe": self._probe.run, "history": self.reading.run}

    @property
    def not_ready_reason(self) -> str | None:
        """None: Redis takes publishes, and reads of history."""
        if not self.publishing.connected.is_set():
            return "Redis takes no publishes"
        if self._probe.refusal is not None:
            return f"Redis takes no publishes: {self._probe.refusal}"
        return None if self.reading.connected.is_set() else "Redis answers no reads of history"

    async def wait_until_ready(self) -> None:
        """Never returns while Redis takes no commands."""
        await self.publishing.connected.wait()
        await self.reading.connected.wait()
