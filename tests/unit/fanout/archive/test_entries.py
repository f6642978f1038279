import json

import pytest
from tannoy.fanout.archive.calls import TakenEntry
from tannoy.fanout.archive.entries import read_entry
from tannoy.fanout.archive.store import ArchivedMessage
from tannoy.fanout.pubsub.envelope import pack_publication
from tannoy.fanout.pubsub.envelopes import PLAIN, envelopes_of
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import JSON, MSGPACK
from tannoy.shared.publication import EncodedMessage, Publication

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))
FRAME = {"type": "message", "room": "lobby", "user_id": "ada", "content": "hi"}
MESSAGE = Publication(EncodedMessage(JSON.encode(FRAME), MSGPACK.encode(FRAME)), exclude="s1")
ENVELOPE = pack_publication(MESSAGE)


def entry(
    channel: bytes = b"room:lobby",
    position: bytes = b"1a_40 41",
    envelope: bytes = ENVELOPE,
    partition: int = LOBBY.partition,
) -> TakenEntry:
    return TakenEntry(partition, b"1795000000123-7", [b"c", channel, b"p", position, b"m", envelope])


def test_an_entry_becomes_a_row_with_the_time_of_redis_and_the_author() -> None:
    text = '{"type":"message","room":"lobby","user_id":"ada","content":"hi"}'

    assert read_entry(entry(), KEYSPACE, PLAIN) == ArchivedMessage(
        "room:lobby", 41, "1a_40", 1_795_000_000_123, "ada", text
    )


def test_an_agents_entry_names_the_agent() -> None:
    agent = KEYSPACE.agent("42")  # type: ignore[arg-type]  # a literal that is a name

    assert read_entry(entry(b"agent:42", partition=agent.partition), KEYSPACE, PLAIN).channel == "agent:42"


def test_a_sealed_entry_is_read_with_the_secret_of_the_cluster_alone() -> None:
    sealed = envelopes_of(b"secret").pack(LOBBY.address, MESSAGE, kept=True)
    read = read_entry(entry(envelope=sealed), KEYSPACE, envelopes_of(b"secret"))

    assert json.loads(read.message) == FRAME
    with pytest.raises(MalformedBytes):
        read_entry(entry(envelope=sealed), KEYSPACE, envelopes_of(b"another"))


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(TakenEntry(LOBBY.partition, b"1-0", [b"x", b"y"]), id="other fields"),
        pytest.param(entry(b"user:ada"), id="neither room nor agent"),
        pytest.param(entry(b"room:a b"), id="bad name"),
        pytest.param(entry(b"room:\xff"), id="name that is no text"),
        pytest.param(entry(position=b"1a_40"), id="no offset"),
        pytest.param(entry(position=b"1a_40 x"), id="offset that is no number"),
        pytest.param(entry(position=b"1a_40 0"), id="offset that Redis assigns to no message"),
        pytest.param(entry(envelope=b"x"), id="no envelope"),
        pytest.param(entry(envelope=ENVELOPE.replace(b"hi", b"\xff\xff")), id="frame that is no JSON"),
        pytest.param(entry(partition=LOBBY.partition + 1), id="partition of another channel"),
    ],
)
def test_what_no_node_has_written_is_refused(odd: TakenEntry) -> None:
    with pytest.raises(MalformedBytes):
        read_entry(odd, KEYSPACE, PLAIN)
