"""The end of a stream on a real Redis: its text becomes one message of the history, once."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.archive.entries import read_entry
from tannoy.fanout.history.publisher import ToldChannels
from tannoy.fanout.history.reader import HistoryRules
from tannoy.fanout.pubsub.envelopes import PLAIN, envelopes_of
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.streams.errors import StreamConflict, StreamRefused, StreamUnknown
from tannoy.fanout.streams.producing import REMEMBER_SECONDS
from tannoy.fanout.streams.sweeper import StreamSweeper
from tannoy.fanout.webhooks.calls import HookCalls
from tannoy.fanout.webhooks.events import EventReader
from tannoy.shared.errors import Unavailable
from tannoy.shared.names import StreamId
from tannoy.shared.protocol.codec import JSON, MSGPACK
from tannoy.shared.publication import Position
from tannoy.shared.streams import Ended, StreamEnd, StreamStatus

from tests.support.archived_room import ARCHIVE_SCRIPTS, ArchivedRoom
from tests.support.history_room import HISTORY_SCRIPTS
from tests.support.redis_pipeline import open_pipeline
from tests.support.stream_channel import ANSWER, STREAM_SCRIPTS, StreamChannel, header_of
from tests.support.valkey import Valkey

DONE, LOST = StreamStatus.DONE, StreamStatus.LOST


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, (*HISTORY_SCRIPTS, *STREAM_SCRIPTS)) as pipeline:
        yield pipeline


@pytest.fixture
async def stream(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[StreamChannel]:
    """A channel with one open stream, whose text is `one two`."""
    async with StreamChannel.open(valkey, pipeline) as channel:
        await channel.producing.open(channel.channel, header_of(meta=[1]))
        await channel.write("one ")
        await channel.write("two")
        yield channel


async def end(stream: StreamChannel, status: StreamStatus = DONE) -> Ended:
    return await stream.producing.end(stream.channel, ANSWER, status)


async def test_the_text_becomes_one_message_at_the_next_offset(stream: StreamChannel) -> None:
    before = await stream.room.publish_all("before")
    ended = await end(stream)
    assert ended == Ended(7, DONE, Position(before.epoch, before.offset + 1))
    content = {"stream_id": "answer", "text": "one two", "status": "done", "meta": [1]}
    assert await stream.room.log_entries() == [(1, "before"), (2, content)]
    assert await stream.room.publish("after") == Position(before.epoch, 3)


async def test_the_hooks_are_told_of_the_message_once_if_its_channel_matches(stream: StreamChannel) -> None:
    channel, keyspace = stream.channel, stream.room.keyspace
    hooks = HookCalls(stream.room.pipeline, keyspace, EventReader(keyspace, PLAIN), backlog=1000)
    await stream.producing.open(channel, header_of(StreamId("untold")))
    await stream.producing_with(told=ToldChannels(("room:other",), 1000)).end(channel, StreamId("untold"), DONE)
    telling = stream.producing_with(told=ToldChannels(("room:*",), 1000))
    ended = await telling.end(channel, ANSWER, DONE)
    assert await telling.end(channel, ANSWER, DONE) == ended
    (queued,) = await hooks.read(channel.partition, 10, 100_000)
    assert ended.position is not None
    assert (queued.event["epoch"], queued.event["offset"]) == ended.position
    assert queued.event["content"] == {"stream_id": "answer", "text": "one two", "status": "done", "meta": [1]}


async def test_what_is_published_is_that_message_in_both_formats_marked_as_the_end(stream: StreamChannel) -> None:
    ended = await end(stream)
    *_, published = await stream.publications()
    assert published.event == StreamEnd(ANSWER, 7, DONE)
    assert Position(published.epoch, published.offset) == ended.position
    as_json = JSON.decode(JSON.encode_publication(published))
    assert as_json == MSGPACK.decode(MSGPACK.encode_publication(published))
    assert isinstance(as_json, dict)
    assert {**as_json, "timestamp": ""} == {
        "type": "message",
        "room": stream.channel.name,
        "user_id": "bot",
        "username": "bot",
        "session_id": None,
        "content": {"stream_id": "answer", "text": "one two", "status": "done", "meta": [1]},
        "timestamp": "",
        "offset": 1,
    }


async def test_a_page_of_the_history_has_the_end_as_the_link_brings_it(stream: StreamChannel) -> None:
    await end(stream)
    page = await stream.room.history.since(stream.channel, 0)
    assert list(page.entries) == (await stream.publications())[-1:]


async def test_the_end_is_sealed_where_the_cluster_has_a_secret(stream: StreamChannel) -> None:
    sealed, other = envelopes_of(b"secret"), StreamId("sealed")
    producing = stream.producing_with(envelopes=sealed)
    await producing.open(stream.channel, header_of(other))
    await stream.room.received_payloads()
    await producing.end(stream.channel, other, DONE)
    (payload,) = await stream.room.received_payloads()
    published = sealed.unpack(stream.channel.address, payload)
    assert getattr(published, "event", None) == StreamEnd(other, 0, DONE)
    with pytest.raises(Exception, match="seal"):
        envelopes_of(b"another").unpack(stream.channel.address, payload)


async def test_without_history_the_message_is_published_without_a_position(stream: StreamChannel) -> None:
    producing = stream.producing_with(history=HistoryRules(size=0, ttl=1))
    assert await producing.end(stream.channel, ANSWER, DONE) == Ended(7, DONE, None)
    *_, published = await stream.publications()
    assert (published.event, published.offset) == (StreamEnd(ANSWER, 7, DONE), 0)
    assert await stream.room.log_entries() == []


async def test_the_text_of_an_archived_channel_waits_for_the_archive(valkey: Valkey) -> None:
    async with (
        open_pipeline(valkey, (*ARCHIVE_SCRIPTS, *STREAM_SCRIPTS)) as pipeline,
        ArchivedRoom.open(valkey, pipeline) as archived,
    ):
        stream = StreamChannel(archived.room)
        await stream.producing.open(stream.channel, header_of())
        await stream.write("kept")
        ended = await end(stream)
        (entry,) = await archived.take()
    row = read_entry(entry, archived.room.keyspace, PLAIN)
    assert (Position(row.epoch, row.offset), '"text":"kept"' in row.message) == (ended.position, True)


async def test_a_repeated_end_tells_how_it_was_and_publishes_nothing(stream: StreamChannel) -> None:
    first = await end(stream)
    await stream.events()
    assert await end(stream, StreamStatus.FAILED) == first
    assert await stream.events() == []


async def test_an_end_of_an_unknown_stream_is_refused(stream: StreamChannel) -> None:
    with pytest.raises(StreamUnknown):
        await stream.producing.end(stream.channel, StreamId("other"), DONE)


async def test_a_piece_behind_the_end_is_refused(stream: StreamChannel) -> None:
    await end(stream)
    with pytest.raises(StreamConflict, match="has ended: done") as conflict:
        await stream.write("more")
    assert (conflict.value.to, conflict.value.status) == (7, DONE)


async def test_a_stop_behind_the_end_is_refused(stream: StreamChannel) -> None:
    await end(stream)
    with pytest.raises(StreamConflict, match="has ended"):
        await stream.producing.stop(stream.channel, ANSWER)


async def test_a_stream_that_has_ended_is_remembered_with_its_text_for_a_while(stream: StreamChannel) -> None:
    ended = await end(stream)
    stored = await stream.reading.read(stream.channel, ANSWER)
    assert stored is not None
    assert (stored.text, stored.status, stored.position) == (b"one two", DONE, ended.position)
    assert await stream.reading.list_open(stream.channel) == []
    assert [0 < await stream.room.ttl(key) <= REMEMBER_SECONDS for key in stream.keys[1:4]] == [True] * 3


async def test_the_name_of_a_stream_that_has_ended_is_still_taken(stream: StreamChannel) -> None:
    await end(stream)
    with pytest.raises(StreamConflict):
        await stream.producing.open(stream.channel, header_of())


async def test_an_end_in_another_life_of_the_server_is_lost(stream: StreamChannel) -> None:
    await stream.room.change_server_identity()
    assert (await end(stream)).status is LOST


async def test_an_end_after_a_piece_that_shows_nothing_is_missing_is_done(stream: StreamChannel) -> None:
    await stream.room.change_server_identity()
    await stream.write("", 7)
    assert (await end(stream)).status is DONE


# ---- producers that die


async def sweep(stream: StreamChannel, incarnation: str = "n1") -> int:
    """Let a node look for lost streams once; returns how many it has ended."""
    sweeper = StreamSweeper(stream.reading_of(incarnation), stream.producing)
    await sweeper.sweep()
    return sweeper.lost


async def fall_silent(stream: StreamChannel) -> None:
    """Make the producer as silent as one that has died a while ago."""
    await stream.valkey.run("HSET", stream.keys[1], "at", "1")
    await stream.valkey.run("ZADD", stream.keys[5], "1", f"room:{stream.channel.name}/{ANSWER}")


async def test_a_stream_whose_producer_is_silent_for_too_long_is_lost(stream: StreamChannel) -> None:
    await fall_silent(stream)
    assert await sweep(stream) == 1
    *_, last = await stream.events()
    assert last == StreamEnd(ANSWER, 7, LOST)


async def test_a_lost_stream_is_told_once_however_many_nodes_look(stream: StreamChannel) -> None:
    await fall_silent(stream)
    assert [await sweep(stream, "n1"), await sweep(stream, "n2")] == [1, 0]
    assert [each for each in await stream.events() if isinstance(each, StreamEnd)] == [StreamEnd(ANSWER, 7, LOST)]


async def test_a_lost_stream_that_can_not_be_read_keeps_no_other_one_open(stream: StreamChannel) -> None:
    for name in "ab":
        await stream.producing.open(stream.channel, header_of(StreamId(name)))
    keys = [stream.room.keyspace.stream(stream.channel, StreamId(name)) for name in "ab"]
    for name, at in zip("ab", keys, strict=True):
        await stream.valkey.run("HSET", at.state, "at", "1")
        await stream.valkey.run("ZADD", at.due, "1", f"room:{stream.channel.name}/{name}")
    await stream.valkey.run("HSET", keys[0].state, "header", "no node has written this")
    with pytest.raises(Unavailable):
        await sweep(stream)
    stored = await stream.producing.read(stream.channel, StreamId("b"))
    assert stored is not None
    assert stored.status is LOST


async def test_a_claimed_stream_is_left_to_the_node_that_was_told_of_it(stream: StreamChannel) -> None:
    await fall_silent(stream)
    part = stream.channel.partition
    assert await stream.reading.claim_due(part) == [(stream.channel, ANSWER)]
    assert await stream.reading_of("n2").claim_due(part) == []


async def test_a_stream_whose_producer_was_heard_is_not_due(stream: StreamChannel) -> None:
    await stream.valkey.run("ZADD", stream.keys[5], "1", f"room:{stream.channel.name}/{ANSWER}")
    assert await stream.reading.claim_due(stream.channel.partition) == []
    due = await stream.valkey.run("ZSCORE", stream.keys[5], f"room:{stream.channel.name}/{ANSWER}")
    assert float(due) > 1_000_000


async def test_a_stream_whose_producer_was_heard_can_not_be_ended_as_lost(stream: StreamChannel) -> None:
    with pytest.raises(StreamRefused, match="its producer is heard"):
        await end(stream, LOST)


async def test_a_stream_whose_keys_are_gone_is_not_due(stream: StreamChannel) -> None:
    await stream.valkey.run("DEL", stream.keys[1])
    await stream.valkey.run("ZADD", stream.keys[5], "1", f"room:{stream.channel.name}/{ANSWER}")
    assert await stream.reading.claim_due(stream.channel.partition) == []
    assert await stream.valkey.run("ZCARD", stream.keys[5]) == 0


async def test_a_member_that_no_node_has_written_is_removed_from_those_that_are_due(stream: StreamChannel) -> None:
    state = stream.keys[1].rpartition(b"stream:")[0] + b"stream:nonsense"
    await stream.valkey.run("HSET", state, "at", "1", "timeout", "1")
    await stream.valkey.run("ZADD", stream.keys[5], "1", "nonsense")
    assert await stream.reading.claim_due(stream.channel.partition) == []
    assert await stream.valkey.run("ZSCORE", stream.keys[5], "nonsense") is None


async def test_keys_of_an_open_stream_outlive_its_time_out(stream: StreamChannel) -> None:
    ttls = [await stream.room.ttl(stream.keys[index]) for index in (1, 2, 4)]
    assert all(60 < ttl <= 120 for ttl in ttls), ttls


async def test_plain_envelopes_have_no_seal_in_front_of_pieces() -> None:
    assert PLAIN.seal_stream(b"a", b"d", b"s", b"text") == b""
