"""What happens on a new connection before anything is published on it, or read."""

from collections.abc import Sequence

import pytest
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.messaging import Messaging
from tannoy.fanout.redis.pipeline import CommandSender
from tannoy.fanout.scripts import SERVER_ENSURE
from tannoy.fanout.server_life import ServerLives

from tests.support.clock import manual_clock, on_manual_time
from tests.support.recording_backend import RecordingBackend
from tests.support.scripted_history import KEYSPACE
from tests.support.scripted_redis import ScriptedPipeline


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
