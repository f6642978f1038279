"""Streams straight through Redis: what is not confirmed is repeated, which adds nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from ..fanout.streams.errors import StreamConflict, StreamUnknown
from ..fanout.streams.producing import StreamProducing
from ..shared.channels import ChannelKind
from ..shared.errors import Refused, Unavailable
from ..shared.names import StreamId
from ..shared.streams import Ended, StreamHeader, StreamStatus, Written
from .encoding import Encoder
from .errors import StreamBroken, from_refusal
from .failures import Failures
from .retries import repeat

T = TypeVar("T")


class RedisStreams:
    """All raise PublishError."""

    def __init__(self, producing: StreamProducing, encoder: Encoder, failures: Failures) -> None:
        self._producing = producing
        self._encoder = encoder
        self._failures = failures

    async def begin(self, kind: ChannelKind, name: str, header: StreamHeader) -> None:
        await self._until_confirmed(partial(self._producing.open, self._encoder.find_channel(kind, name), header))

    async def write(self, kind: ChannelKind, name: str, stream_id: StreamId, piece: bytes, start: int) -> Written:
        channel = self._encoder.find_channel(kind, name)
        return await self._until_confirmed(partial(self._producing.write, channel, stream_id, piece, start))

    async def end(self, kind: ChannelKind, name: str, stream_id: StreamId, status: StreamStatus) -> Ended:
        channel = self._encoder.find_channel(kind, name)
        return await self._until_confirmed(partial(self._producing.end, channel, stream_id, status))

    async def _until_confirmed(self, attempt: Callable[[], Awaitable[T]]) -> T:
        deadline = asyncio.get_running_loop().time() + self._failures.timeout
        try:
            try:
                return await attempt()
            except Unavailable as error:
                return await repeat(attempt, error, deadline=deadline, is_final=self._failures.is_final)
        except Unavailable as error:
            raise self._failures.describe(error, None) from error
        except StreamConflict as conflict:
            raise StreamBroken(conflict.message, to=conflict.to, ended=conflict.status) from None
        except StreamUnknown as unknown:
            raise StreamBroken(unknown.message, ended=StreamStatus.LOST) from None
        except Refused as refusal:
            raise from_refusal(refusal) from None
