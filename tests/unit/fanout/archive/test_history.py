"""What the archive adds to a page of Redis; the property over any history is in tests/property."""

import orjson
import pytest
from tannoy.fanout.archive.faults import DatabaseFailed, Fault
from tannoy.fanout.archive.history import ArchivedHistory
from tannoy.fanout.archive.store import ArchivedMessage, ArchivePage
from tannoy.fanout.history.reader import HistoryPage
from tannoy.shared.archived_channels import ArchivedChannels
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.codec import MSGPACK
from tannoy.shared.protocol.commands import HistoryQuery
from tannoy.shared.publication import EncodedMessage, Position, Publication

KEYSPACE = Keyspace("tannoy")
LOBBY = KEYSPACE.room(RoomName("lobby"))
HEAD = Position("1a_100", 104)


class Archive:
    """A database with these messages, or one that is away. Nothing waits to be written."""

    def __init__(self, *messages: ArchivedMessage, is_away: bool = False) -> None:
        self._messages = messages
        self._is_away = is_away
        self.written_meanwhile: list[ArchivedMessage] = []
        """What stands there once the backlog was asked."""

    async def read(
        self, channel: str, lowest: int, highest: int, limit: int, max_bytes: int, *, last: bool
    ) -> ArchivePage:
        if self._is_away:
            raise DatabaseFailed("away", Fault.LOST)
        return ArchivePage(tuple(each for each in self._messages if lowest <= each.offset <= highest), is_cut=False)

    async def may_wait(self, channel: Channel, lowest: int, highest: int) -> bool:
        self._messages = (*self.written_meanwhile,) or self._messages
        return False


def history_of(archive: Archive) -> ArchivedHistory:
    return ArchivedHistory(ArchivedChannels(("room:lobby",)), archive, archive)


def row(offset: int, text: str = '{"type":"message","content":1}') -> ArchivedMessage:
    return ArchivedMessage("room:lobby", offset, HEAD.epoch, 0, None, text)


def page(*offsets: int, is_cut: bool = False) -> HistoryPage:
    encoded = EncodedMessage(b"{}", b"\x80")
    entries = tuple(Publication(encoded, epoch=HEAD.epoch, offset=offset) for offset in offsets)
    return HistoryPage(HEAD, entries, is_cut)


def offsets(found: HistoryPage) -> list[int]:
    return [entry.offset for entry in found.entries]


@pytest.mark.parametrize(
    ("query", "found", "needs_more"),
    [
        pytest.param(HistoryQuery(2), page(103, 104), False, id="full page"),
        pytest.param(HistoryQuery(3), page(103, 104), True, id="page that ends with Redis"),
        pytest.param(HistoryQuery(3), page(104, is_cut=True), False, id="page cut by its bytes"),
        pytest.param(HistoryQuery(9, None, 102), page(103, 104), False, id="since a message in Redis"),
        pytest.param(HistoryQuery(9, None, 101), page(103, 104), True, id="since a message that Redis has no more"),
        pytest.param(HistoryQuery(9, None, 104), page(), False, id="since the head"),
        pytest.param(HistoryQuery(9, 103, 102), page(), False, id="between two neighbours"),
    ],
)
def test_the_database_is_asked_where_it_may_have_more(
    query: HistoryQuery, found: HistoryPage, needs_more: bool
) -> None:
    assert history_of(Archive()).needs_more(LOBBY, query, found) is needs_more


def test_the_database_is_not_asked_for_other_channels() -> None:
    other = KEYSPACE.room(RoomName("other"))

    assert not history_of(Archive()).needs_more(other, HistoryQuery(9), page())


async def test_while_the_database_is_away_a_page_has_what_redis_has_and_says_that_there_is_more() -> None:
    found = await history_of(Archive(is_away=True)).extend(LOBBY, HistoryQuery(9), page(103, 104))

    assert (offsets(found), found.is_cut) == ([103, 104], True)


@pytest.mark.parametrize("query", [HistoryQuery(9, 103), HistoryQuery(9, None, 100)])
async def test_while_the_database_is_away_what_lies_beyond_redis_is_unavailable(query: HistoryQuery) -> None:
    with pytest.raises(Unavailable):
        await history_of(Archive(is_away=True)).extend(LOBBY, query, page())


async def test_a_stored_message_is_encoded_in_both_wire_formats() -> None:
    found = await history_of(Archive(row(101))).extend(LOBBY, HistoryQuery(9), page(102, 103, 104))

    entry = found.entries[0]
    as_msgpack = MSGPACK.decode(MSGPACK.encode_publication(entry))
    assert as_msgpack == {"type": "message", "content": 1, "offset": 101}
    assert orjson.loads(entry.encoded.json) == {"type": "message", "content": 1}


@pytest.mark.parametrize("text", ["", "[]", "{}", "no JSON", orjson.dumps(dict.fromkeys("abcdefghijklmno")).decode()])
async def test_what_is_no_message_in_the_database_is_left_out(text: str) -> None:
    archive = Archive(row(101), row(102, text))
    found = await history_of(archive).extend(LOBBY, HistoryQuery(9), page(103, 104))

    assert offsets(found) == [101, 103, 104]


async def test_of_two_messages_at_one_offset_one_is_shown() -> None:
    found = await history_of(Archive(row(101), row(101), row(102))).extend(LOBBY, HistoryQuery(9), page(103, 104))

    assert offsets(found) == [101, 102, 103, 104]


async def test_what_is_written_while_the_backlog_is_asked_is_shown_and_no_gap() -> None:
    archive = Archive(row(101))
    archive.written_meanwhile = [row(101), row(102)]
    found = await history_of(archive).extend(LOBBY, HistoryQuery(9), page(103, 104))

    assert (offsets(found), found.gaps) == ([101, 102, 103, 104], ())


async def test_what_neither_waits_nor_stands_anywhere_is_a_gap() -> None:
    found = await history_of(Archive(row(101))).extend(LOBBY, HistoryQuery(9), page(103, 104))

    assert (offsets(found), found.gaps) == ([101, 103, 104], ((102, 102),))
