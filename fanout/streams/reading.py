"""What nodes ask about the streams of their channels, and what they say: how many of their sessions listen."""

import asyncio
from collections.abc import Sequence
from functools import partial

from ...shared.channels import Channel
from ...shared.errors import BadName
from ...shared.keyspace import Keyspace
from ...shared.names import StreamId, parse_stream
from ..pubsub.envelopes import PLAIN, Envelopes
from ..pubsub.stream_events import BEGUN
from ..redis.answers import read_later
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline
from ..script_batches import ScriptBatches
from ..scripts import STREAM_READ, STREAMS_DUE, STREAMS_LIST, STREAMS_LISTEN
from ..unreadable import UnreadableData, parse_channel
from .stored import StoredStream, read_stored

LISTENERS_MS = 1500
"""For which it holds how many sessions of a node listen. With LISTENERS_PERIOD of the nodes no count is older than two
seconds, and a page that is loaded again is counted all the while."""
LISTENERS_PERIOD = 0.5
"""Seconds after which a node says it again."""
DUE_AT_ONCE = 16
"""Streams of a partition that one node looks after in one sweep."""
CLAIM_MS = 2000
"""For which a stream that is due is left to the node that was told of it."""

READING_SCRIPTS = (STREAM_READ, STREAMS_LIST, STREAMS_DUE, STREAMS_LISTEN)
"""Of the pipeline of a StreamReading."""


class StreamReading:
    """Every future raises Unavailable."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        unreadable: UnreadableData,
        envelopes: Envelopes = PLAIN,
        *,
        incarnation: str = "",
    ) -> None:
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._unreadable = unreadable
        self._envelopes = envelopes
        self._batches = ScriptBatches(
            pipeline, {STREAMS_LIST: (), STREAMS_LISTEN: (incarnation, LISTENERS_MS)}, unreadable
        )

    def read(
        self, channel: Channel, stream_id: StreamId, *, with_text: bool = True
    ) -> "asyncio.Future[StoredStream | None]":
        """How a stream stands; None: there is none of this name."""
        keys, name = self._keyspace.stream(channel, stream_id), stream_id.encode()
        open_header = partial(self._envelopes.open_stream, channel.address, BEGUN, name)
        reply = self._pipeline.run_script(STREAM_READ, keys, (int(with_text),))
        return read_later(reply, partial(read_stored, stream_id, open_header=open_header))

    def list_open(self, channel: Channel) -> "asyncio.Future[list[StreamId]]":
        """The open streams of a channel, and some whose keys may have run out."""
        key = self._keyspace.streams(channel)

        def read(reply: Reply) -> list[StreamId]:
            found: list[StreamId] = []
            for member in reply:
                try:
                    found.append(parse_stream(bytes(member).decode()))
                except (BadName, UnicodeDecodeError):
                    self._unreadable.note(key, member)
            return found

        return read_later(self._batches.call(STREAMS_LIST, (key,), ()), read)

    def tell_listeners(self, channel: Channel, sessions: int) -> "asyncio.Future[int]":
        """Say how many sessions of this node listen to the streams of a channel. The result: how many on all nodes."""
        key = self._keyspace.listeners(channel)
        return read_later(self._batches.call(STREAMS_LISTEN, (key,), (sessions,)), int)

    async def claim_due(self, part: int) -> Sequence[tuple[Channel, StreamId]]:
        """Streams of a partition whose producers are silent for too long. For a moment no other node is told of them.

        Raises Unavailable.
        """
        key = self._keyspace.streams_due(part)
        found: list[tuple[Channel, StreamId]] = []
        for member in await self._pipeline.run_script(STREAMS_DUE, (key,), (DUE_AT_ONCE, CLAIM_MS)):
            try:
                found.append(self._parse_member(bytes(member)))
            except (BadName, UnicodeDecodeError):
                await self._unreadable.remove(self._pipeline, "ZREM", key, bytes(member))
        return found

    def _parse_member(self, member: bytes) -> tuple[Channel, StreamId]:
        """The stream that a member of the set of those that are due names. Raises BadName, UnicodeDecodeError."""
        name, _, stream_id = member.decode().partition("/")
        return parse_channel(name, self._keyspace), parse_stream(stream_id)
