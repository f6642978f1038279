"""What happens on a new connection before anything is published on it, or read."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import pytest
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.messaging import Messaging
from tannoy.fanout.pubsub.any_link import AnyLink, LinkListener
from tannoy.fanout.pubsub.verbs import PLAIN
from tannoy.fanout.redis.pipeline import AnyPipeline, CommandSender, OnConnected
from tannoy.fanout.redis.script import Script
from tannoy.fanout.redis.sentinel import Target
from tannoy.fanout.scripts import SERVER_ENSURE
from tannoy.fanout.server_life import ServerLives
from tannoy.fanout.unreadable import UnreadableData
from tannoy.shared.clock import Clock

from tests.support.clock import manual_clock, on_manual_time
from tests.support.scripted_history import KEYSPACE
from tests.support.scripted_redis import ScriptedPipeline


class RecordingBackend:
    """Makes pipelines that never connect; the test calls what is to be called on a new connection."""

    def __init__(self) -> None:
        self.verbs = PLAIN
        self.unreadable = UnreadableData()
        self.first_partitions: Sequence[int] = (0,)
        self.jobs: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self.on_connected: dict[str, OnConnected] = {}

    def link(
        self,
        *,
        name: str,
        echo_channel: Callable[[int], bytes],
        clock: Clock,
        listener: LinkListener,
        reader: AnyPipeline,
    ) -> AnyLink:
        raise NotImplementedError

    def pipeline(self, *, name: str, scripts: tuple[Script, ...], on_connected: OnConnected) -> AnyPipeline:
        self.on_connected[name] = on_connected
        return ScriptedPipeline()

    async def servers(self, answer_within: float) -> Sequence[tuple[Target, Sequence[int]]]:
        return ()

    def statistics(self) -> None:
        return None


@pytest.mark.parametrize("connection", ["tannoy-publisher-n", "tannoy-history-n"])
@on_manual_time
async def test_a_check_follows_the_question_which_server_it_is_on_each_connection(connection: str) -> None:
    backend, redis = RecordingBackend(), ScriptedPipeline()
    redis.reply_with(SERVER_ENSURE, [b"life", 0, b"1", b"0"])
    lives = ServerLives(KEYSPACE, clock=manual_clock())
    messaging = Messaging(backend, KEYSPACE, HistoryRules(100, 300), lives, name="n")
    checked: list[tuple[int, list[int]]] = []

    async def check(commands: CommandSender, partitions: Sequence[int]) -> None:
        checked.append((len(redis.calls), list(partitions)))

    messaging.check_before_use(check)
    await backend.on_connected[connection](redis, [3, 5])

    assert checked == [(2, [3, 5])]
