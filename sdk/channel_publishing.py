"""Publishing through Redis: each message once, repeated until it is confirmed or its time is over.

Each has an idempotency key, the caller's or one of our own making, so to repeat it is harmless.
"""

import asyncio
import itertools
import math
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from ..fanout.batches import batched_by_size
from ..fanout.history.publisher import REMEMBER_KEY_SECONDS, Publisher, read_result
from ..fanout.redis.connection import Reply
from ..shared.errors import Unavailable
from ..shared.publication import Position, Publication
from ..shared.turns import Turns
from .encoding import Encoder, ReadyMessage
from .errors import PublisherClosed, PublishError, PublishUnavailable
from .failures import Failures
from .messages import ChannelMessage
from .retries import repeat
from .route import Result

IN_FLIGHT_MAX_BYTES = 1_048_576
"""Bytes of messages that Redis has not confirmed; further ones wait, in order, within their time-out."""
BATCH_BYTES = 262_144
"""Bytes of messages of one `many` that are sent at once: others can publish in between."""
OWN_KEY_SECONDS = 10
"""For which Redis remembers the idempotency keys of our own making, at least; twice the time-out if that is more."""


class _Sent(NamedTuple):
    """A message that was sent, with its idempotency key, which Redis remembers for `seconds`."""

    ready: ReadyMessage
    key: str
    seconds: int
    answer: asyncio.Future[Reply]


class ChannelPublishing:
    """In order, as far as nothing has to be repeated."""

    def __init__(self, encoder: Encoder, publisher: Publisher, failures: Failures) -> None:
        self._encoder = encoder
        self._publisher = publisher
        self._failures = failures
        self._turns = Turns(IN_FLIGHT_MAX_BYTES, is_open=lambda: True)
        self._own_keys, self._numbers = secrets.token_hex(8), itertools.count(1)
        self._own_key_seconds = max(OWN_KEY_SECONDS, math.ceil(2 * failures.timeout))

    async def publish(self, message: ChannelMessage) -> Position | None:
        """Raises PublishError."""
        ready = self._encoder.encode(message)
        deadline = asyncio.get_running_loop().time() + self._failures.timeout
        if (turn := self._turns.begin(ready.size)) is not None:
            await self._wait(turn, ready.size, deadline, message.key)
        try:
            key, seconds = self._choose_key(ready)
            try:
                return _read(await self._submit(ready, key, seconds))
            except Unavailable as error:
                return await self._repeat(ready, key, seconds, error, deadline)
        finally:
            self._turns.end(ready.size)

    async def publish_many(self, messages: Iterable[ChannelMessage]) -> list[Result]:
        """A result each. Once one is not confirmed in time, the batches behind it are not sent."""
        results: list[Result] = []
        lost: PublishUnavailable | None = None
        for batch in batched_by_size(map(self._try_encode, messages), _size_of, BATCH_BYTES):
            if lost is not None:
                left_out = PublishUnavailable(f"not sent, since a message before it failed: {lost}")
                results += [left_out if isinstance(each, ReadyMessage) else each for each in batch]
                continue
            published = await self._publish_batch(batch)
            lost = next((each for each in published if isinstance(each, PublishUnavailable)), None)
            results += published
        return results

    def _try_encode(self, message: ChannelMessage) -> ReadyMessage | PublishError:
        try:
            return self._encoder.encode(message)
        except PublishError as refusal:
            return refusal

    async def _publish_batch(self, batch: list[ReadyMessage | PublishError]) -> list[Result]:
        """Send all of a batch at once, and then repeat those that have failed, in order."""
        size = sum(map(_size_of, batch))
        deadline = asyncio.get_running_loop().time() + self._failures.timeout
        try:
            if (turn := self._turns.begin(size)) is not None:
                await self._wait(turn, size, deadline, None)
        except PublishUnavailable as error:
            return [error if isinstance(each, ReadyMessage) else each for each in batch]
        sent: list[_Sent | PublishError] = []
        try:
            sent = [self._send(each) if isinstance(each, ReadyMessage) else each for each in batch]
            return [await self._result(each, deadline) if isinstance(each, _Sent) else each for each in sent]
        finally:
            self._turns.end(size)
            for each in sent:
                if isinstance(each, _Sent):
                    each.answer.cancel()  # of those that nobody waits for any more

    def _send(self, ready: ReadyMessage) -> "_Sent":
        key, seconds = self._choose_key(ready)
        return _Sent(ready, key, seconds, self._submit(ready, key, seconds))

    async def _result(self, sent: "_Sent", deadline: float) -> Result:
        try:
            return _read(await sent.answer)
        except Unavailable as error:
            try:
                return await self._repeat(sent.ready, sent.key, sent.seconds, error, deadline)
            except PublisherClosed:
                raise
            except PublishError as failure:
                return failure

    def _choose_key(self, ready: ReadyMessage) -> tuple[str, int]:
        """The idempotency key of a message, and the seconds for which Redis remembers it."""
        if ready.key is not None:
            return ready.key, REMEMBER_KEY_SECONDS
        return f"{self._own_keys}-{next(self._numbers)}", self._own_key_seconds

    def _submit(self, ready: ReadyMessage, key: str, seconds: int) -> asyncio.Future[Reply]:
        return self._publisher.submit(
            ready.channel, Publication(ready.encoded, ready.exclude), ready.author, key, seconds
        )

    async def _repeat(
        self, ready: ReadyMessage, key: str, seconds: int, failed: Unavailable, deadline: float
    ) -> Position | None:
        async def attempt() -> Position | None:
            return _read(await self._submit(ready, key, seconds))

        try:
            return await repeat(attempt, failed, deadline=deadline, is_final=self._failures.is_final)
        except Unavailable as error:
            raise self._failures.describe(error, ready.key) from error

    async def _wait(self, turn: "asyncio.Future[None]", size: int, deadline: float, key: str | None) -> None:
        """Until it is the turn of a message. Raises PublishUnavailable when its time is over."""
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except (asyncio.CancelledError, TimeoutError) as error:
            if not turn.cancelled():  # it has begun in the same moment
                self._turns.end(size)
            if isinstance(error, TimeoutError):
                waited = Unavailable("it was not sent, since too much is unconfirmed before it")
                raise self._failures.describe(waited, key) from None
            raise


def _size_of(entry: ReadyMessage | PublishError) -> int:
    return entry.size if isinstance(entry, ReadyMessage) else 0


def _read(reply: Reply) -> Position | None:
    """Raises Unavailable: it is no reply that our script gives."""
    try:
        return read_result(reply)
    except ValueError as error:
        raise Unavailable(str(error)) from error
