"""A pipeline that never connects, for what sends calls together: the test sees what is sent, and answers."""

import asyncio

from tannoy.fanout.redis.connection import Reply, Word
from tannoy.fanout.redis.errors import RedisError
from tannoy.fanout.redis.pipeline import CommandSender, Pipeline
from tannoy.fanout.redis.script import Script
from tannoy.fanout.unreadable import UnreadableData

from tests.support.memory_redis import NOWHERE


class BatchPipeline(Pipeline):
    """A name's partition is its first byte."""

    def __init__(self) -> None:
        super().__init__(NOWHERE, name="test", scripts=())
        self.sent: list[tuple[Script | str, tuple[bytes, ...], tuple[Word, ...]]] = []
        """Script, KEYS and ARGV of each call, or the verb and the words of a command."""
        self.answers: list[asyncio.Future[Reply]] = []

    def batch_of(self, name: bytes) -> int:
        return name[0]

    def run_script(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]) -> asyncio.Future[Reply]:
        return self._record(script, keys, arguments)

    def publish(self, channel: bytes, payload: bytes) -> asyncio.Future[Reply]:
        return self._record("PUBLISH", (), (channel, payload))

    def _record(self, what: Script | str, keys: tuple[bytes, ...], words: tuple[Word, ...]) -> asyncio.Future[Reply]:
        self.sent.append((what, keys, words))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


class RefusedKeys(UnreadableData):
    """Records the commands whose keys would be looked at, since Redis has refused them."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[tuple[Word, ...]] = []

    def on_refused(self, commands: CommandSender, words: tuple[Word, ...], refusal: RedisError) -> None:
        self.refused.append(words)
