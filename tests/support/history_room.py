"""A room with history in a real Redis: publish to it, read what Redis stores and what subscribers receive."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

from tannoy.fanout.history.publisher import Publisher
from tannoy.fanout.history.reader import HistoryReader, HistoryRules
from tannoy.fanout.pubsub.envelope import pack_publication, unpack_delivery
from tannoy.fanout.redis.connection import Pushes
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.scripts import HEAD_RELEASE, HISTORY_READ, PUBLISH, PUBLISH_MANY, PUBLISH_ONCE, SERVER_ENSURE
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import JSON, MSGPACK
from tannoy.shared.publication import EncodedMessage, Position, Publication

from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

HISTORY_SCRIPTS = (SERVER_ENSURE, PUBLISH, PUBLISH_MANY, PUBLISH_ONCE, HISTORY_READ, HEAD_RELEASE)
RULES = HistoryRules(size=100, ttl=300)
_END = b"end of test messages"
_numbers = itertools.count(1)


def envelope_of(content: object, **fields: object) -> bytes:
    """The envelope of a message with this content. `fields`: what else a client expects of it."""
    return pack_publication(publication_of(content, **fields))


def publication_of(content: object, **fields: object) -> Publication:
    """A message with this content, as a node publishes it."""
    message = {"type": "message", "content": content, **fields}
    return Publication(EncodedMessage(JSON.encode(message), MSGPACK.encode(message)))


def content_of(publication: Publication) -> Any:
    whole: Any = JSON.decode(publication.encoded.json)
    return whole["content"]


class HistoryRoom:
    """One room under a prefix of its own, so that its partition has a server life of its own too."""

    def __init__(self, valkey: Valkey, pipeline: Pipeline, channel: Channel, keyspace: Keyspace) -> None:
        self.channel = channel
        self.keyspace = keyspace
        self.keys = keyspace.history(channel)
        self.valkey = valkey
        self.pipeline = pipeline
        self.history = self.history_with(RULES)
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self._publishers: dict[tuple[HistoryRules, Pipeline], Publisher] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, valkey: Valkey, pipeline: Pipeline, *, prefix: str | None = None) -> AsyncGenerator[Self]:
        number = next(_numbers)
        keyspace = Keyspace(prefix or f"p{number}")
        room = cls(valkey, pipeline, keyspace.room(RoomName(f"room-{number}")), keyspace)
        link = await connect(valkey.address, name="test-link", on_pushes=room._on_pushes, timeout=PATIENCE)
        link.subscribe(("SUBSCRIBE", room.channel.address), lambda refusal: None)
        await link.send("PING")
        try:
            yield room
        finally:
            link.abort()
            await link.lost

    def _on_pushes(self, pushes: Pushes) -> None:
        for kind, *_, payload in pushes:
            if kind == b"message":
                self._received.put_nowait(payload)

    # ---- what nodes do

    def history_with(self, rules: HistoryRules) -> HistoryReader:
        return HistoryReader(self.pipeline, self.keyspace, rules)

    def publisher_with(self, rules: HistoryRules = RULES, pipeline: Pipeline | None = None) -> Publisher:
        """The same one each time: what is published in one turn of the event loop goes together."""
        of = rules, pipeline or self.pipeline
        if of not in self._publishers:
            self._publishers[of] = Publisher(of[1], self.keyspace, rules)
        return self._publishers[of]

    async def publish(
        self,
        content: object = None,
        *,
        key: str | None = None,
        author: str = "ada",
        rules: HistoryRules = RULES,
        pipeline: Pipeline | None = None,
    ) -> Position | None:
        publisher = self.publisher_with(rules, pipeline or self.pipeline)
        return await publisher.publish(self.channel, publication_of(content), author=author, key=key)

    async def publish_all(self, *contents: object, rules: HistoryRules = RULES) -> Position:
        """Publish one after another; returns the position of the last."""
        positions = [await self.publish(content, rules=rules) for content in contents]
        assert positions
        assert positions[-1] is not None
        return positions[-1]

    async def identify_server(self) -> None:
        """Check whether this is the server that the data knows, as every new connection of a node does."""
        await self.pipeline.run_script(SERVER_ENSURE, (self.keys.server,), (RULES.recovery_ms,))

    async def change_server_identity(self) -> None:
        """Make the data know another server, as after a promotion or with a restored dump."""
        await self.valkey.run("HSET", self.keys.server, "id", "of-another-server")
        await self.identify_server()

    # ---- what subscribers receive

    async def received_payloads(self) -> list[bytes]:
        """All payloads published up to now."""
        await self.valkey.run("PUBLISH", self.channel.address, _END)
        payloads: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while (payload := await self._received.get()) != _END:
                payloads.append(payload)
        return payloads

    async def received(self) -> list[tuple[int, Any]]:
        """Offset and content of each message published up to now."""
        deliveries = [unpack_delivery(payload) for payload in await self.received_payloads()]
        return [(one.offset, content_of(one)) for one in deliveries]

    # ---- what Redis stores

    async def head(self) -> bytes | None:
        head: bytes | None = await self.valkey.run("GET", self.keys.head)
        return head

    async def log_entries(self) -> list[tuple[int, Any]]:
        """Offset and content of each entry of the log."""
        entries = await self.valkey.run("XRANGE", self.keys.log, "-", "+")
        return [(int(id.partition(b"-")[0]), content_of(unpack_delivery(fields[b"m"]))) for id, fields in entries]

    async def ttl(self, key: bytes) -> int:
        seconds: int = await self.valkey.run("TTL", key)
        return seconds

    async def existing_keys(self) -> list[bytes]:
        """All keys of this room's prefix, sorted."""
        keys: list[bytes] = await self.valkey.run("KEYS", self.keys.server.partition(b":")[0] + b":*")
        return sorted(keys)
