"""Calls of scripts that go to Redis together: what is sent, and which call gets which answer."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.redis.connection import Reply, Word
from tannoy.fanout.redis.errors import CommandFailed, RedisError
from tannoy.fanout.redis.script import Script
from tannoy.fanout.script_batches import CALLS_AT_ONCE, HOLD_SECONDS, ScriptBatches
from tannoy.shared.errors import Unavailable

from tests.support.batch_pipeline import BatchPipeline, RefusedKeys
from tests.support.clock import on_manual_time, turns

FIRST, SECOND = Script(b"first", "1" * 40, "first"), Script(b"second", "2" * 40, "second")


class Batches:
    def __init__(self) -> None:
        self.pipeline = BatchPipeline()
        self.unreadable = RefusedKeys()
        self._batches = ScriptBatches(self.pipeline, {FIRST: ("a",), SECOND: ()}, self.unreadable)

    def call(self, script: Script, key: bytes, word: Word, *, order: bytes | None = None) -> asyncio.Future[Any]:
        return self._batches.call(script, (key,), (word,), order=order)

    async def sent_calls(self, count: int = 3) -> list[asyncio.Future[Any]]:
        """So many calls of the first script, sent in one batch."""
        calls = [self.call(FIRST, b"p%d" % number, number) for number in range(count)]
        await turns()
        return calls

    @property
    def answer(self) -> asyncio.Future[Reply]:
        """That of the batch that was sent last."""
        return self.pipeline.answers[-1]


async def test_calls_of_one_turn_are_sent_as_one_with_the_shared_words_in_front() -> None:
    batches = Batches()
    await batches.sent_calls()
    assert batches.pipeline.sent == [(FIRST, (b"p0", b"p1", b"p2"), ("a", 0, 1, 2))]


async def test_calls_that_come_while_a_batch_is_under_way_are_sent_together_with_its_answer() -> None:
    batches = Batches()
    await batches.sent_calls(1)
    await batches.sent_calls(2)
    await batches.sent_calls(1)
    assert [keys for _, keys, _ in batches.pipeline.sent] == [(b"p0",)]
    batches.answer.set_result([1])
    await turns()
    assert [keys for _, keys, _ in batches.pipeline.sent] == [(b"p0",), (b"p0", b"p1", b"p0")]


@on_manual_time
async def test_calls_wait_for_as_long_if_others_were_held_before_them() -> None:
    batches = Batches()
    await batches.sent_calls(1)
    await batches.sent_calls(1)
    await asyncio.sleep(HOLD_SECONDS * 0.9)
    batches.answer.set_result([1])
    await turns()
    await batches.sent_calls(1)
    await asyncio.sleep(HOLD_SECONDS * 0.9)
    assert len(batches.pipeline.sent) == 2
    await asyncio.sleep(HOLD_SECONDS * 0.2)
    assert len(batches.pipeline.sent) == 3


async def test_calls_of_another_partition_do_not_wait_for_a_batch() -> None:
    batches = Batches()
    await batches.sent_calls(1)
    batches.call(FIRST, b"q0", 0)
    await turns()
    assert [keys for _, keys, _ in batches.pipeline.sent] == [(b"p0",), (b"q0",)]


@on_manual_time
async def test_calls_are_sent_without_the_answer_to_those_before_them_when_it_is_late() -> None:
    batches = Batches()
    await batches.sent_calls(1)
    await batches.sent_calls(2)
    await asyncio.sleep(HOLD_SECONDS * 0.9)
    assert len(batches.pipeline.sent) == 1
    await asyncio.sleep(HOLD_SECONDS * 0.2)
    assert [keys for _, keys, _ in batches.pipeline.sent] == [(b"p0",), (b"p0", b"p1")]


async def test_calls_of_the_script_that_is_named_first_are_sent_first() -> None:
    batches = Batches()
    batches.call(SECOND, b"p1", 1)
    batches.call(FIRST, b"p2", 2)
    await turns()
    assert [script for script, _, _ in batches.pipeline.sent] == [FIRST, SECOND]


async def test_calls_of_one_order_keep_it_and_others_go_with_the_first_of_their_script() -> None:
    batches = Batches()
    for number, (script, order) in enumerate([(SECOND, b"x"), (FIRST, b"x"), (SECOND, b"y"), (FIRST, b"y")]):
        batches.call(script, b"p%d" % number, number, order=order)
    batches.call(SECOND, b"p4", 4, order=b"x")
    await turns()
    sent = [(script, keys) for script, keys, _ in batches.pipeline.sent]
    assert sent == [(SECOND, (b"p0", b"p2")), (FIRST, (b"p1", b"p3")), (SECOND, (b"p4",))]


async def test_keys_that_may_not_be_in_one_call_are_sent_in_two() -> None:
    batches = Batches()
    for key in (b"p1", b"q1", b"p2"):
        batches.call(FIRST, key, 0)
    await turns()
    assert [keys for _, keys, _ in batches.pipeline.sent] == [(b"p1", b"p2"), (b"q1",)]


async def test_more_calls_than_one_batch_takes_are_sent_in_order_in_several() -> None:
    batches = Batches()
    await batches.sent_calls(2 * CALLS_AT_ONCE + 1)
    assert [len(keys) for _, keys, _ in batches.pipeline.sent] == [CALLS_AT_ONCE, CALLS_AT_ONCE, 1]
    assert [number for _, _, words in batches.pipeline.sent for number in words[1:]] == [*range(2 * CALLS_AT_ONCE + 1)]


async def test_each_call_gets_its_own_result() -> None:
    batches = Batches()
    calls = await batches.sent_calls()
    batches.answer.set_result([b"x", None, [1]])
    assert await asyncio.gather(*calls) == [b"x", None, [1]]


async def test_an_error_of_one_call_fails_it_alone_and_its_keys_are_looked_at() -> None:
    batches = Batches()
    first, second, third = await batches.sent_calls()
    batches.answer.set_result([1, RedisError("WRONGTYPE no list"), 3])
    assert (await first, await third) == (1, 3)
    with pytest.raises(CommandFailed) as failed:
        await second
    assert str(failed.value.refusal) == "WRONGTYPE no list"
    assert batches.unreadable.refused == [FIRST.call((b"p1",), ())]


async def test_a_batch_that_fails_fails_each_of_its_calls() -> None:
    batches = Batches()
    calls = await batches.sent_calls()
    batches.answer.set_exception(CommandFailed("not confirmed", refusal=RedisError("OOM full")))
    for call in calls:
        with pytest.raises(CommandFailed, match="not confirmed") as failed:
            await call
        assert str(failed.value.refusal) == "OOM full"
    assert batches.unreadable.refused == [], "the pipeline has seen to these keys"


@pytest.mark.parametrize("reply", [None, b"x", [1, 2], [1, 2, 3, 4]])
async def test_a_reply_of_another_form_fails_each_call(reply: Reply) -> None:
    batches = Batches()
    calls = await batches.sent_calls()
    batches.answer.set_result(reply)
    for call in calls:
        with pytest.raises(Unavailable, match="unknown form"):
            await call


async def test_a_call_that_is_cancelled_changes_nothing_for_the_others() -> None:
    batches = Batches()
    first, second, third = await batches.sent_calls()
    second.cancel()
    batches.answer.set_result([1, 2, 3])
    assert (await first, await third) == (1, 3)
