"""A backend without Redis, for what is composed of its pipelines."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from tannoy.fanout.pubsub.any_link import AnyLink
from tannoy.fanout.pubsub.verbs import PLAIN
from tannoy.fanout.redis.pipeline import AnyPipeline, OnConnected
from tannoy.fanout.redis.script import Script
from tannoy.fanout.redis.sentinel import Target
from tannoy.fanout.unreadable import UnreadableData

from tests.support.scripted_redis import ScriptedPipeline


class RecordingBackend:
    """Makes pipelines that never connect; the test calls what is to be called on a new connection."""

    def __init__(self) -> None:
        self.verbs = PLAIN
        self.unreadable = UnreadableData()
        self.first_partitions: Sequence[int] = (0,)
        self.jobs: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self.on_connected: dict[str, OnConnected] = {}
        self.pipelines: dict[str, ScriptedPipeline] = {}

    def link(self, **arguments: Any) -> AnyLink:
        raise NotImplementedError("what is tested with this backend has no link")

    def pipeline(self, *, name: str, scripts: tuple[Script, ...], on_connected: OnConnected) -> AnyPipeline:
        self.on_connected[name] = on_connected
        pipeline = self.pipelines[name] = ScriptedPipeline()
        return pipeline

    async def servers(self, answer_within: float) -> Sequence[tuple[Target, Sequence[int]]]:
        return ()

    def statistics(self) -> None:
        return None
