"""Messages that go to Redis together: what is sent, and which message gets which answer."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.history.publish_batches import BATCH_MAX_BYTES, MESSAGES_AT_ONCE, KeptMessage, PublishBatches
from tannoy.fanout.history.publisher import Publisher
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.redis.connection import Reply
from tannoy.fanout.redis.errors import CommandFailed, RedisError
from tannoy.fanout.scripts import PUBLISH, PUBLISH_MANY
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import HistoryKeys, Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.publication import EncodedMessage, Publication

from tests.support.batch_pipeline import BatchPipeline, RefusedKeys
from tests.support.clock import turns

SHARED = (100, 300, 3600, 5500)


class Messages:
    def __init__(self) -> None:
        self.pipeline = BatchPipeline()
        self.unreadable = RefusedKeys()
        self.batches = PublishBatches(self.pipeline, SHARED, self.unreadable)

    def publish(
        self, channel: bytes = b"a", envelope: bytes = b"hi", *, memory: bytes | None = None, tells: bool = False
    ) -> asyncio.Future[Any]:
        keys = HistoryKeys(b"server", channel, channel + b":log")
        return self.batches.publish(KeptMessage(keys, b"#" + channel, envelope, memory, 300, tells))

    @property
    def sizes(self) -> list[int]:
        """Messages in each call."""
        sent = self.pipeline.sent
        return [1 if script == PUBLISH else (len(words) - 5 - int(words[4])) // 3 for script, _, words in sent]

    @property
    def answer(self) -> asyncio.Future[Reply]:
        """To the call that was sent last."""
        return self.pipeline.answers[-1]


async def test_a_message_alone_is_a_call_of_its_own() -> None:
    messages = Messages()
    published = messages.publish(memory=b"m", tells=True)
    await turns()
    keys = (b"server", b"a", b"a:log", b"m")
    assert messages.pipeline.sent == [(PUBLISH, keys, (*SHARED, b"#a", b"hi", 300, 1))]
    messages.answer.set_result(b"e 1")
    assert await published == b"e 1"


async def test_messages_of_one_turn_are_one_call_in_order() -> None:
    messages = Messages()
    for channel, envelope, memory in ((b"a", b"1", None), (b"ab", b"2", b"m"), (b"a", b"3", None), (b"ab", b"4", None)):
        messages.publish(channel, envelope, memory=memory)
    await turns()
    keys = (b"server", b"a", b"a:log", b"server", b"ab", b"ab:log", b"m")
    words = (2, b"#a", b"#ab", 1, b"1", "", 2, b"2", "7 300 0", 1, b"3", "", 2, b"4", "")
    assert messages.pipeline.sent == [(PUBLISH_MANY, keys, (*SHARED, *words))]


async def test_messages_of_two_turns_do_not_wait_for_each_other() -> None:
    messages = Messages()
    for _ in range(2):
        messages.publish()
        await turns()
    assert messages.sizes == [1, 1]


async def test_messages_of_another_partition_are_another_call() -> None:
    messages = Messages()
    for channel in (b"a", b"b", b"a", b"a", b"b", b"b", b"b"):
        messages.publish(channel)
    await turns()
    assert messages.sizes == [3, 4]


@pytest.mark.parametrize(
    ("channels", "sizes"),
    [(b"aa", [1, 1]), (b"aaa", [3]), (b"abc", [1, 1, 1]), (b"abab", [4]), (bytes(range(16)), [16])],
)
async def test_messages_go_together_where_that_costs_redis_less(channels: bytes, sizes: list[int]) -> None:
    messages = Messages()
    for channel in channels:
        messages.publish(b"p%d" % channel)
    await turns()
    assert messages.sizes == sizes


async def test_more_messages_than_go_together_are_several_calls_in_order() -> None:
    messages = Messages()
    for number in range(MESSAGES_AT_ONCE + 3):
        messages.publish(envelope=b"%d" % number)
    await turns()
    assert messages.sizes == [MESSAGES_AT_ONCE, 3]
    assert messages.pipeline.sent[1][2][-8::3] == tuple(b"%d" % (MESSAGES_AT_ONCE + more) for more in range(3))


async def test_a_large_message_goes_alone_between_those_before_and_behind_it() -> None:
    messages = Messages()
    for size in (10, 10, 10, BATCH_MAX_BYTES + 1, 10, 10, 10):
        messages.publish(envelope=b"x" * size)
    await turns()
    assert messages.sizes == [3, 1, 3]


async def test_each_message_gets_its_own_answer_and_an_error_is_of_one_alone() -> None:
    messages = Messages()
    first, second, third, _ = (messages.publish(channel) for channel in (b"a1", b"a2", b"a1", b"a1"))
    await turns()
    messages.answer.set_result([b"e 1", RedisError("WRONGTYPE no stream"), [b"e 3"], b"e 4"])
    assert (await first, await third) == (b"e 1", [b"e 3"])
    with pytest.raises(CommandFailed) as failed:
        await second
    assert str(failed.value.refusal) == "WRONGTYPE no stream"
    assert messages.unreadable.refused == [PUBLISH.call((b"server", b"a2", b"a2:log"), ())]


@pytest.mark.parametrize("count", [1, 3])
async def test_a_call_that_is_not_confirmed_leaves_all_of_its_messages_unconfirmed(count: int) -> None:
    messages = Messages()
    published = [messages.publish() for _ in range(count)]
    await turns()
    messages.answer.set_exception(CommandFailed("the bus did not confirm in time"))
    for each in published:
        with pytest.raises(CommandFailed, match="did not confirm in time"):
            await each


@pytest.mark.parametrize("reply", [None, b"e 1", [b"e 1"], [b"e 1"] * 4])
async def test_an_answer_of_another_form_confirms_none(reply: Reply) -> None:
    messages = Messages()
    published = [messages.publish() for _ in range(3)]
    await turns()
    messages.answer.set_result(reply)
    for each in published:
        with pytest.raises(Unavailable, match="unknown form"):
            await each


async def test_a_message_for_which_nobody_waits_any_more_is_not_sent() -> None:
    messages = Messages()
    gone, _ = messages.publish(envelope=b"gone"), messages.publish(envelope=b"here")
    gone.cancel()
    await turns()
    assert [words[5] for _, _, words in messages.pipeline.sent] == [b"here"]


async def test_what_history_does_not_keep_goes_behind_the_messages_before_it() -> None:
    pipeline = BatchPipeline()
    publisher = Publisher(pipeline, Keyspace("tannoy"), HistoryRules(100, 300))
    channel, publication = Keyspace("tannoy").room(RoomName("lobby")), Publication(EncodedMessage(b"{}", b"\x80"))
    for publish in (publisher.publish, publisher.publish_unkept, *[publisher.publish] * 3):
        publish(channel, publication)
    await turns()
    assert [what for what, _, _ in pipeline.sent] == [PUBLISH, "PUBLISH", PUBLISH_MANY]
