"""A channel with history in a real Redis: what nodes say in it, what is kept, and what a link would bring."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

from tannoy.fanout.history.publisher import Publisher
from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.pubsub.envelope import pack_publication, unpack_delivery
from tannoy.fanout.redis.connection import Pushes, connect
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.scripts import HISTORY_READ, PUBLISH, PUBLISH_ONCE, SERVER_ENSURE
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import JSON, MSGPACK
from tannoy.shared.publication import EncodedMessage, Position, Publication

from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

RULES = HistoryRules(size=100, ttl=300)
_THAT_IS_ALL = b"that is all"
_numbers = itertools.count(1)


def packed(content: object) -> bytes:
    """The envelope of a message with this content."""
    return pack_publication(publication_of(content))


def publication_of(content: object) -> Publication:
    """A message with this content, as a node publishes it."""
    message = {"type": "message", "content": content}
    return Publication(EncodedMessage(JSON.encode(message), MSGPACK.encode(message)))


def content_of(publication: Publication) -> Any:
    whole: Any = JSON.decode(publication.encoded.json)
    return whole["content"]


@asynccontextmanager
async def pipeline_to(valkey: Valkey, *, command_timeout: float = PATIENCE) -> AsyncGenerator[Pipeline]:
    """Connected; its scripts are loaded. `command_timeout`: seconds; short where a test is about it."""
    scripts = (SERVER_ENSURE, PUBLISH, PUBLISH_ONCE, HISTORY_READ)
    pipeline = Pipeline(valkey.address, name="test", scripts=scripts, command_timeout=command_timeout)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pipeline.run())
        await pipeline.connected.wait()
        yield pipeline
        running.cancel()


class HistoryRoom:
    """A room of its own, of a server life of its own."""

    def __init__(self, valkey: Valkey, pipeline: Pipeline, channel: Channel, keyspace: Keyspace) -> None:
        self.channel = channel
        self.keyspace = keyspace
        self.keys = keyspace.history(channel)
        self.valkey = valkey
        self.pipeline = pipeline
        self.history = self.history_under(RULES)
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def open(cls, valkey: Valkey, pipeline: Pipeline, *, prefix: str | None = None) -> AsyncGenerator[Self]:
        number = next(_numbers)
        keyspace = Keyspace(prefix or f"p{number}")
        room = cls(valkey, pipeline, keyspace.room(RoomName(f"room-{number}")), keyspace)
        link = await connect(valkey.address, name="test-link", on_pushes=room._hear, timeout=PATIENCE)
        link.subscribe(("SUBSCRIBE", room.channel.address), lambda refusal: None)
        await link.command("PING")
        try:
            yield room
        finally:
            link.abort()
            await link.lost

    def _hear(self, pushes: Pushes) -> None:
        for kind, *_, payload in pushes:
            if kind == b"message":
                self._heard.put_nowait(payload)

    # ---- nodes

    def history_under(self, rules: HistoryRules) -> HistoryReader:
        return HistoryReader(self.pipeline, self.keyspace, rules)

    async def publish(
        self,
        content: object = None,
        *,
        key: str | None = None,
        author: str = "ada",
        rules: HistoryRules = RULES,
        pipeline: Pipeline | None = None,
    ) -> Position | None:
        publisher = Publisher(pipeline or self.pipeline, self.keyspace, rules)
        return await publisher.publish(self.channel, publication_of(content), author=author, key=key)

    async def say(self, *contents: object, rules: HistoryRules = RULES) -> Position:
        """All of these; the position of the last one."""
        session_leases = [await self.publish(content, rules=rules) for content in contents]
        assert session_leases
        assert session_leases[-1] is not None
        return session_leases[-1]

    async def meet(self) -> None:
        """As every new connection of a node does: is this the server that the data knows?"""
        await self.pipeline.run_script(SERVER_ENSURE, (self.keys.server,), (RULES.recovery_ms,))

    async def become_another_server(self) -> None:
        """As after a promotion, or with a dump: the data knows another server."""
        await self.valkey.run("HSET", self.keys.server, "id", "of-another-server")
        await self.meet()

    # ---- what a link brings

    async def heard_raw(self) -> list[bytes]:
        """All up to now."""
        await self.valkey.run("PUBLISH", self.channel.address, _THAT_IS_ALL)
        payloads: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while (payload := await self._heard.get()) != _THAT_IS_ALL:
                payloads.append(payload)
        return payloads

    async def heard(self) -> list[tuple[int, Any]]:
        """Offset and content of each message up to now."""
        told = [unpack_delivery(payload) for payload in await self.heard_raw()]
        return [(one.offset, content_of(one)) for one in told]

    # ---- what is kept

    async def head(self) -> bytes | None:
        head: bytes | None = await self.valkey.run("GET", self.keys.head)
        return head

    async def log(self) -> list[tuple[int, Any]]:
        """Offset and content of each entry, as they lie in Redis."""
        entries = await self.valkey.run("XRANGE", self.keys.log, "-", "+")
        return [(int(id.partition(b"-")[0]), content_of(unpack_delivery(fields[b"m"]))) for id, fields in entries]

    async def ttl(self, key: bytes) -> int:
        seconds: int = await self.valkey.run("TTL", key)
        return seconds

    async def kept_keys(self) -> list[bytes]:
        """All keys of this room's prefix, sorted."""
        keys: list[bytes] = await self.valkey.run("KEYS", self.keys.server.partition(b":")[0] + b":*")
        return sorted(keys)
