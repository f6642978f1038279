"""Messages of one loop turn, as one call of a script where that costs Redis less.

It does for several messages of one channel, whose head and log are then looked after once, and for very many of any. A
few messages of as many channels are calls of their own, in the same write. All keep their order.

Each is confirmed or refused alone; where Redis does not confirm a call in time, all of its messages are not confirmed,
since any of them may have been published.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

from ...shared.errors import Unavailable
from ...shared.keyspace import HistoryKeys
from ..redis.connection import Reply, Word
from ..redis.errors import CommandFailed, RedisError, not_confirmed
from ..redis.pipeline import AnyPipeline
from ..script_batches import results_of
from ..scripts import PUBLISH, PUBLISH_MANY
from ..unreadable import UnreadableData

MESSAGES_AT_ONCE = 64
"""Messages in one call: Redis carries out nothing else meanwhile, for less than half a millisecond."""
WORTH_REPEATED = 2
"""Messages of channels of which the call has others too, from which it costs less than a call for each."""
WORTH_MESSAGES = 16
"""Messages of any channels, from which it does."""
BATCH_MAX_BYTES = 65_536
"""Bytes of the messages in one call. A larger message is a call of its own, so that none of another author waits for
it, nor fails with it."""


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message that history keeps. `memory`: the key under which Redis remembers it, for `seconds`; None: it does not.

    `tells`: the answer tells an earlier message with the same key from a new one.
    """

    keys: HistoryKeys
    address: bytes
    envelope: bytes
    memory: bytes | None
    seconds: int
    tells: bool
    told_most: int = 0
    """If not 0, the HTTP hooks are told of it: how many entries may wait for them in the partition."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: KeptMessage
    answer: asyncio.Future[Reply]


class PublishBatches:
    """`rules`: the words that all messages share, of how many are kept, how long, and how long a new server waits."""

    def __init__(self, pipeline: AnyPipeline, rules: tuple[Word, ...], unreadable: UnreadableData) -> None:
        self._pipeline = pipeline
        self._rules = rules
        self._unreadable = unreadable
        self._waiting: dict[int, list[_Waiting]] = {}  # by group, for a loop turn
        self._flush_is_due = False

    def publish(self, message: KeptMessage) -> asyncio.Future[Reply]:
        """The answer of PUBLISH to it. The future raises Unavailable."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        self._waiting.setdefault(self._pipeline.batch_of(message.keys.head), []).append(_Waiting(message, answer))
        if not self._flush_is_due:
            self._flush_is_due = True
            loop.call_soon(self.flush)
        return answer

    def flush(self) -> None:
        """Send all that waits: what is sent to Redis otherwise comes behind it."""
        self._flush_is_due = False
        waiting, self._waiting = self._waiting, {}
        for messages in waiting.values():
            for batch in _batches_of(messages):
                if _is_worth_one_call(batch):
                    self._send_together(batch)
                else:
                    for each in batch:
                        self._send_alone(each)

    def _send_together(self, batch: list[_Waiting]) -> None:
        keys, words = _call_of([each.message for each in batch])
        answer = self._pipeline.run_script(PUBLISH_MANY, keys, (*self._rules, *words))
        answer.add_done_callback(partial(self._answer_all, batch))

    def _send_alone(self, waiting: _Waiting) -> None:
        message = waiting.message
        options: tuple[Word, ...] = (1,) if message.tells else ()
        if message.told_most:
            options = (int(message.tells), message.told_most)
        of_message = (message.address, message.envelope, message.seconds, *options)
        answer = self._pipeline.run_script(PUBLISH, _keys_of(message), (*self._rules, *of_message))
        answer.add_done_callback(partial(_answer_one, waiting.answer))

    def _answer_all(self, batch: list[_Waiting], answer: asyncio.Future[Reply]) -> None:
        if answer.cancelled():
            for each in batch:
                each.answer.cancel()
            return
        for each, result in zip(batch, results_of(answer, len(batch)), strict=True):
            if isinstance(result, RedisError):
                self._unreadable.on_refused(self._pipeline, PUBLISH.call(_keys_of(each.message), ()), result)
                _answer(each.answer, not_confirmed(result))
            else:
                _answer(each.answer, result)


def _answer_one(waiting: asyncio.Future[Reply], answer: asyncio.Future[Reply]) -> None:
    if answer.cancelled():
        waiting.cancel()
    else:
        _answer(waiting, answer.exception() or answer.result())


def _answer(waiting: asyncio.Future[Reply], result: object) -> None:
    if waiting.done():
        return
    match result:
        case CommandFailed():
            waiting.set_exception(CommandFailed(result.message, refusal=result.refusal))
        case Unavailable():
            waiting.set_exception(Unavailable(result.message))
        case _:
            waiting.set_result(cast("Reply", result))


def _batches_of(messages: list[_Waiting]) -> Iterator[list[_Waiting]]:
    """In order, within the bounds of one call; without those that nobody waits for any more.

    A message of which the HTTP hooks are told is a call of its own.
    """
    batch: list[_Waiting] = []
    size = 0
    for each in messages:
        if each.answer.done():
            continue
        added = len(each.message.envelope)
        is_alone = bool(each.message.told_most or (batch and batch[-1].message.told_most))
        if batch and (is_alone or size + added > BATCH_MAX_BYTES or len(batch) == MESSAGES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += added
    if batch:
        yield batch


def _is_worth_one_call(batch: list[_Waiting]) -> bool:
    if len(batch) >= WORTH_MESSAGES:
        return True
    return len(batch) > 1 and len(batch) - len({each.message.address for each in batch}) >= WORTH_REPEATED


def _keys_of(message: KeptMessage) -> tuple[bytes, ...]:
    return tuple(message.keys) if message.memory is None else (*message.keys, message.memory)


def _call_of(messages: list[KeptMessage]) -> tuple[tuple[bytes, ...], tuple[Word, ...]]:
    """KEYS of PUBLISH_MANY, and ARGV behind those that all calls share."""
    channels: dict[bytes, int] = {}
    keys: list[bytes] = []
    for message in messages:
        if message.address not in channels:
            channels[message.address] = len(channels) + 1
            keys += message.keys
    words: list[Word] = [len(channels), *channels]
    for message in messages:
        how = ""
        if message.memory is not None:
            keys.append(message.memory)
            how = f"{len(keys)} {message.seconds} {int(message.tells)}"
        words += (channels[message.address], message.envelope, how)
    return tuple(keys), tuple(words)
