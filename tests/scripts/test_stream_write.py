"""Writing to a stream on a real Redis: one script appends a piece and publishes it, once."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.pubsub.envelopes import envelopes_of
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.streams.errors import StreamConflict, StreamUnknown
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import Refused
from tannoy.shared.names import StreamId
from tannoy.shared.streams import StreamPiece, StreamSnapshot, StreamStatus, Written

from tests.support.history_room import HISTORY_SCRIPTS
from tests.support.redis_pipeline import open_pipeline
from tests.support.stream_channel import ANSWER, STREAM_SCRIPTS, StreamChannel, header_of
from tests.support.valkey import Valkey


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, (*HISTORY_SCRIPTS, *STREAM_SCRIPTS)) as pipeline:
        yield pipeline


@pytest.fixture
async def stream(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[StreamChannel]:
    """A channel with one open stream."""
    async with StreamChannel.open(valkey, pipeline) as channel:
        await channel.producing.open(channel.channel, header_of(meta={"model": "m"}))
        yield channel


# ---- beginning


async def test_the_beginning_is_published_with_its_header(stream: StreamChannel) -> None:
    assert await stream.events() == [StreamSnapshot(header_of(meta={"model": "m"}))]


async def test_a_repeated_beginning_is_published_once(stream: StreamChannel) -> None:
    await stream.producing.open(stream.channel, header_of(meta={"model": "m"}))
    assert len(await stream.events()) == 1


async def test_a_second_producer_with_the_name_is_refused(stream: StreamChannel) -> None:
    with pytest.raises(StreamConflict):
        await stream.producing.open(stream.channel, header_of(meta={"model": "another"}))


async def test_one_stream_more_than_may_be_open_is_refused(stream: StreamChannel) -> None:
    for number in range(2):
        await stream.producing.open(stream.channel, header_of(StreamId(f"more-{number}")))
    with pytest.raises(Refused) as refused:
        await stream.producing.open(stream.channel, header_of(StreamId("too-many")))
    assert refused.value.code is ErrorCode.LIMIT_REACHED


async def test_streams_whose_keys_are_gone_do_not_count_as_open(stream: StreamChannel) -> None:
    for number in range(2):
        await stream.producing.open(stream.channel, header_of(StreamId(f"more-{number}")))
    await stream.valkey.run("DEL", stream.keys[1])
    await stream.producing.open(stream.channel, header_of(StreamId("next")))
    assert sorted(await stream.reading.list_open(stream.channel)) == ["more-0", "more-1", "next"]


# ---- pieces


async def test_pieces_are_published_with_their_positions_in_bytes(stream: StreamChannel) -> None:
    assert [await stream.write("é"), await stream.write("b")] == [2, 3]
    _, first, second = await stream.events()
    assert (first, second) == (StreamPiece(ANSWER, 0, "é".encode()), StreamPiece(ANSWER, 2, b"b"))


async def test_a_piece_that_is_repeated_at_its_position_adds_nothing(stream: StreamChannel) -> None:
    await stream.write("one ")
    await stream.write("two", 4)
    assert await stream.write("two", 4) == 7
    assert len(await stream.events()) == 3


async def test_a_piece_behind_the_end_is_refused_with_the_end_that_stands(stream: StreamChannel) -> None:
    await stream.write("one")
    with pytest.raises(StreamConflict, match="gap") as conflict:
        await stream.write("three", 7)
    assert (conflict.value.to, conflict.value.status) == (3, None)


@pytest.mark.parametrize(
    ("text", "start", "told"), [("two", 0, "two producers"), ("one and more", 0, "beyond 3"), ("e two", 2, "beyond 3")]
)
async def test_another_text_at_a_position_that_stands_is_refused(
    stream: StreamChannel, text: str, start: int, told: str
) -> None:
    await stream.write("one")
    with pytest.raises(StreamConflict, match=told) as conflict:
        await stream.write(text, start)
    assert conflict.value.to == 3


async def test_a_text_beyond_its_bound_is_too_large_and_what_fits_may_follow(stream: StreamChannel) -> None:
    await stream.write("x" * 999)
    with pytest.raises(Refused) as refused:
        await stream.write("yz")
    assert refused.value.code is ErrorCode.TOO_LARGE
    assert await stream.write("y") == 1000


async def test_an_empty_piece_publishes_nothing_and_is_answered(stream: StreamChannel) -> None:
    await stream.write("one")
    await stream.events()
    assert await stream.producing.write(stream.channel, ANSWER, b"") == Written(3, 1, stop=False)
    assert await stream.events() == []


async def test_a_piece_of_an_unknown_stream_is_refused(stream: StreamChannel) -> None:
    with pytest.raises(StreamUnknown):
        await stream.write("x", stream_id=StreamId("other"))


async def test_pieces_are_sealed_where_the_cluster_has_a_secret(stream: StreamChannel) -> None:
    sealed, others = envelopes_of(b"secret"), envelopes_of(b"another")
    producing = stream.producing_with(envelopes=sealed)
    await stream.room.received_payloads()
    await producing.open(stream.channel, header_of(StreamId("sealed")))
    await producing.write(stream.channel, StreamId("sealed"), b"text")
    payloads = await stream.room.received_payloads()
    events = [sealed.unpack(stream.channel.address, payload) for payload in payloads]
    assert [getattr(each, "event", None) for each in events] == [
        StreamSnapshot(header_of(StreamId("sealed"))),
        StreamPiece(StreamId("sealed"), 0, b"text"),
    ]
    for payload in payloads:
        with pytest.raises(Exception, match="seal of this cluster"):
            others.unpack(stream.channel.address, payload)


# ---- what the producer learns


async def test_stop_is_in_the_answer_to_the_next_piece(stream: StreamChannel) -> None:
    await stream.producing.stop(stream.channel, ANSWER)
    assert (await stream.producing.write(stream.channel, ANSWER, b"x")).stop


async def test_stop_of_an_unknown_stream_is_refused(stream: StreamChannel) -> None:
    with pytest.raises(StreamUnknown):
        await stream.producing.stop(stream.channel, StreamId("other"))


async def test_listeners_are_the_sum_of_what_nodes_have_said(stream: StreamChannel) -> None:
    assert await stream.reading.tell_listeners(stream.channel, 2) == 2
    assert await stream.reading_of("n2").tell_listeners(stream.channel, 3) == 5
    assert (await stream.producing.write(stream.channel, ANSWER, b"x")).listeners == 5


async def test_what_a_node_said_of_listeners_is_replaced_by_what_it_says_next(stream: StreamChannel) -> None:
    await stream.reading.tell_listeners(stream.channel, 2)
    assert await stream.reading.tell_listeners(stream.channel, 1) == 1


async def test_what_a_dead_node_has_said_is_left_out_of_the_next_sum(stream: StreamChannel) -> None:
    await stream.valkey.run("HSET", stream.keys[6], "n-dead", "7 1")
    assert await stream.reading.tell_listeners(stream.channel, 2) == 2


async def test_a_sum_that_is_too_old_counts_as_none(stream: StreamChannel) -> None:
    await stream.reading.tell_listeners(stream.channel, 2)
    await stream.valkey.run("HSET", stream.keys[6], "until", "1")
    assert (await stream.producing.write(stream.channel, ANSWER, b"x")).listeners == 0


async def test_a_subscribed_node_counts_as_one_before_it_has_said_how_many_listen(stream: StreamChannel) -> None:
    assert (await stream.producing.write(stream.channel, ANSWER, b"x")).listeners == 1


# ---- what Redis has lost


async def test_a_producer_without_positions_loses_its_stream_with_the_life_of_the_server(
    stream: StreamChannel,
) -> None:
    await stream.write("one")
    await stream.room.change_server_identity()
    with pytest.raises(StreamConflict, match="lost") as conflict:
        await stream.write("two")
    assert conflict.value.status is StreamStatus.LOST
    with pytest.raises(StreamConflict, match="has ended: lost"):
        await stream.write("two")


async def test_a_producer_with_positions_goes_on_in_another_life(stream: StreamChannel) -> None:
    await stream.write("one", 0)
    await stream.room.change_server_identity()
    assert await stream.write("two", 3) == 6
    assert await stream.write("three") == 11


async def test_a_producer_with_positions_learns_what_it_has_to_repeat(stream: StreamChannel) -> None:
    await stream.write("one", 0)
    await stream.room.change_server_identity()
    with pytest.raises(StreamConflict, match="gap") as conflict:
        await stream.write("three", 6)
    assert conflict.value.to == 3
    assert await stream.write("two", 3) == 6


async def test_a_stream_whose_text_was_evicted_is_lost(stream: StreamChannel) -> None:
    await stream.write("one")
    await stream.valkey.run("DEL", stream.keys[2])
    with pytest.raises(StreamConflict, match="lost"):
        await stream.write("two", 3)
