"""Publishing on channels, over a pipeline of its own."""

import asyncio
from dataclasses import dataclass

from ...shared.archived_channels import match_channel
from ...shared.channels import Channel
from ...shared.keyspace import Keyspace
from ...shared.publication import Position, Publication
from ..heads import read_position
from ..pubsub.envelopes import PLAIN, Envelopes
from ..redis.answers import read_later
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline
from ..scripts import PUBLISH, PUBLISH_MANY, PUBLISH_ONCE, SERVER_DOUBT, SERVER_ENSURE, UNREADABLE_REMOVE
from ..unreadable import UnreadableData
from .publish_batches import KeptMessage, PublishBatches
from .reader import HistoryRules

REMEMBER_KEY_SECONDS = 300
"""Seconds for which an idempotency key is remembered, as `docs/protocol.md §3` says."""

PUBLISHING_SCRIPTS = (SERVER_ENSURE, SERVER_DOUBT, UNREADABLE_REMOVE, PUBLISH, PUBLISH_MANY, PUBLISH_ONCE)
"""Of the pipeline of a Publisher."""


@dataclass(frozen=True, slots=True)
class ToldChannels:
    """Of which messages the HTTP hooks are told: of channels that match `patterns`, and have a history."""

    patterns: tuple[str, ...]
    backlog: int
    """Events of a partition that may wait for delivery."""

    def find_bound(self, channel: Channel) -> int:
        """How many events may wait beside one of this channel; 0: nothing is told of it."""
        return self.backlog if match_channel(self.patterns, channel) else 0


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a publish. `position` is None without history; `is_repeated`: nothing was published."""

    position: Position | None
    is_repeated: bool


class Publisher:
    """All publishes of a node: in order, each confirmed by Redis or failed within the pipeline's deadline.

    What history keeps is sent at the end of the loop turn, the messages of one turn together.
    """

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        rules: HistoryRules,
        envelopes: Envelopes = PLAIN,
        unreadable: UnreadableData | None = None,
        told: ToldChannels | None = None,
    ) -> None:
        self.pipeline = pipeline
        self._told = told
        shared = (rules.size, rules.ttl, rules.head_ttl, rules.recovery_ms)
        self._batches = PublishBatches(pipeline, shared, unreadable or UnreadableData())
        self._envelopes = envelopes
        self._keyspace = keyspace
        self._rules = rules

    def publish(
        self, channel: Channel, publication: Publication, *, author: str = "", key: str | None = None
    ) -> asyncio.Future[Position | None]:
        """Publish on a room's or an agent's channel what history keeps; with `key`, once per author and key.

        The future is done when Redis has confirmed, and raises Unavailable if it has not in time. Its result is the
        message's position; None without history. For a key that was seen before, it is that of the earlier message.
        """
        return read_later(self.submit(channel, publication, author, key, REMEMBER_KEY_SECONDS), read_result)

    def publish_telling(
        self, channel: Channel, publication: Publication, *, author: str = "", key: str | None = None
    ) -> asyncio.Future[Published]:
        """Publish as `publish` does; the result also says whether the key was seen before."""
        counts_receivers = key is None and not self._rules.size

        def read(reply: Reply) -> Published:
            if isinstance(reply, list):
                return Published(read_result(reply[0]), is_repeated=True)
            return Published(read_result(reply), is_repeated=reply == 0 and not counts_receivers)

        answer = self.submit(channel, publication, author, key, REMEMBER_KEY_SECONDS, tells_repeated=True)
        return read_later(answer, read)

    def submit(
        self,
        channel: Channel,
        publication: Publication,
        author: str,
        key: str | None,
        remember_seconds: int,
        *,
        tells_repeated: bool = False,
    ) -> asyncio.Future[Reply]:
        """The same, with the reply of Redis, which `read_result` reads. Redis remembers `key` for `remember_seconds`.

        `tells_repeated`: the position of an earlier message with the same key is told from that of a new one, as a list
        of one. The future raises Unavailable.
        """
        payload = self._envelopes.pack(channel.address, publication, kept=self._rules.size > 0)
        memory = None if key is None else self._keyspace.idempotency(channel, author, key)
        if self._rules.size:
            keys = self._keyspace.history(channel)
            told_most = 0 if self._told is None else self._told.find_bound(channel)
            message = KeptMessage(keys, channel.address, payload, memory, remember_seconds, tells_repeated, told_most)
            return self._batches.publish(message)
        if memory is not None:
            return self.pipeline.run_script(PUBLISH_ONCE, (memory,), (channel.address, payload, remember_seconds))
        return self.send(channel.address, payload)

    def publish_unkept(self, channel: Channel, publication: Publication) -> asyncio.Future[Reply]:
        """Publish on a room's or an agent's channel what history does not keep; confirmed as `send` is."""
        return self.send(channel.address, self._envelopes.pack(channel.address, publication, kept=False))

    def send(self, address: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """Publish bytes on any channel; the result is the number of links that received them, at most."""
        self._batches.flush()
        return self.pipeline.publish(address, payload)


def read_result(reply: Reply) -> Position | None:
    """None: the message was published without history: the reply is a number, or the b"1" kept for its key.

    Raises ValueError.
    """
    return None if isinstance(reply, int) or reply == b"1" else read_position(reply)
