"""Any history of a channel, over database, backlog and Redis: no page has a hole that it does not tell."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from hypothesis import event, given, settings
from hypothesis import strategies as st
from tannoy.fanout.archive.history import ArchivedHistory
from tannoy.fanout.archive.store import ArchivedMessage, ArchivePage
from tannoy.fanout.history.reader import HistoryPage
from tannoy.shared.archived_channels import ArchivedChannels
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.protocol.commands import HistoryQuery
from tannoy.shared.publication import EncodedMessage, Position, Publication

ROOM = Keyspace("tannoy").room(RoomName("lobby"))
T = TypeVar("T")


class Place(Enum):
    """Where a message is, besides the log in Redis, in which the last ones are in any case."""

    DATABASE = auto()
    BACKLOG = auto()
    NOWHERE = auto()


@dataclass(frozen=True)
class Published:
    position: Position
    place: Place
    is_in_log: bool

    @property
    def offset(self) -> int:
        return self.position.offset

    @property
    def can_be_read(self) -> bool:
        return self.is_in_log or self.place is Place.DATABASE

    @property
    def waits(self) -> bool:
        return not self.is_in_log and self.place is Place.BACKLOG


class World:
    """A database, a backlog and a log that hold these messages. Nothing here waits for anything."""

    def __init__(self, messages: Sequence[Published], head: Position) -> None:
        self.messages = messages
        self.head = head

    async def read(
        self, channel: str, lowest: int, highest: int, limit: int, max_bytes: int, *, last: bool
    ) -> ArchivePage:
        found = [
            ArchivedMessage(channel, each.offset, each.position.epoch, 0, None, '{"content":1}')
            for each in self.messages
            if each.place is Place.DATABASE and lowest <= each.offset <= highest
        ]
        some = found[-limit:] if last else found[:limit]
        return ArchivePage(tuple(some), is_cut=len(some) < len(found))

    async def may_wait(self, channel: Channel, lowest: int, highest: int) -> bool:
        return any(each.place is Place.BACKLOG and lowest <= each.offset <= highest for each in self.messages)

    def page(self, query: HistoryQuery) -> HistoryPage:
        """As Redis answers."""
        since, before = -1 if query.since is None else query.since, query.before
        entries = [
            Publication(EncodedMessage(b"{}", b"\x80"), epoch=self.head.epoch, offset=each.offset)
            for each in self.messages
            if each.is_in_log and since < each.offset and (before is None or each.offset < before)
        ]
        some = entries[-query.limit :] if query.since is None else entries[: query.limit]
        return HistoryPage(self.head, tuple(some))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    positions: list[Position] = []
    start, head = 100, Position("", 0)
    for number in range(draw(st.integers(1, 3))):
        epoch = f"{number}a_{start}"
        count = draw(st.integers(0, 8))
        positions += [Position(epoch, start + index) for index in range(1, count + 1)]
        head = Position(epoch, start + count)
        start += count + draw(st.integers(1, 50))
    in_log = draw(st.integers(0, len(positions)))
    in_database, nowhere, in_backlog = Place.DATABASE, Place.NOWHERE, Place.BACKLOG
    places = draw(st.sampled_from([(in_database, in_database, nowhere), (in_database, in_backlog), tuple(Place)]))
    messages = [
        Published(position, draw(st.sampled_from(places)), index >= len(positions) - in_log)
        for index, position in enumerate(positions)
    ]
    return World(messages, head)


def _shifted(offset: int, by: int) -> int:
    return max(0, offset + by)


@st.composite
def queries(draw: st.DrawFn, world: World) -> HistoryQuery:
    offsets = st.integers(0, 1) | st.sampled_from([world.head.offset, *(each.offset for each in world.messages)])
    near = st.none() | st.none() | st.builds(_shifted, offsets, st.integers(-1, 2))
    return HistoryQuery(draw(st.integers(1, 15)), draw(near), draw(near))


def finish(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # what the coroutine returns
    raise AssertionError("it waits")


def read(world: World, query: HistoryQuery) -> HistoryPage:
    history = ArchivedHistory(ArchivedChannels(("room:*",)), world, world)
    page = world.page(query)
    return finish(history.extend(ROOM, query, page)) if history.needs_more(ROOM, query, page) else page


def asked_for(world: World, query: HistoryQuery) -> list[Published]:
    since, before = query.since, query.before
    return [
        each
        for each in world.messages
        if (since is None or since < each.offset) and (before is None or each.offset < before)
    ]


@settings(max_examples=300)
@given(st.data())
def test_a_page_has_every_message_that_it_spans_or_tells_that_it_is_lost(data: st.DataObject) -> None:
    world = data.draw(worlds())
    query = data.draw(queries(world))
    asked = asked_for(world, query)
    try:
        page = read(world, query)
    except Unavailable:
        event("unavailable")
        assert any(each.waits for each in asked)
        return
    offsets = [entry.offset for entry in page.entries]
    readable = {each.offset for each in asked if each.can_be_read}
    assert offsets == sorted(set(offsets))
    assert set(offsets) <= readable
    assert len(offsets) <= query.limit

    if not page.is_cut and len(offsets) < query.limit:
        event("all")
        assert set(offsets) == readable
        assert not any(each.waits for each in asked)
    if query.since is None:
        spanned = [each for each in asked if offsets and each.offset >= offsets[0]]
    else:
        spanned = [each for each in asked if offsets and each.offset <= offsets[-1]]
    assert not any(each.waits for each in spanned)
    told = {offset for first, last in page.gaps for offset in range(first, last + 1)}
    lost = {each.offset for each in spanned if not each.can_be_read}
    provable = {
        each.offset
        for each in spanned
        if not each.can_be_read
        and any(other.offset > each.offset and is_proof(world, each, other) for other in spanned)
    }
    event("gap told" if told else "no gap")
    assert told & readable == set()
    assert provable <= told <= lost | {each.offset for each in asked if not each.can_be_read}


def is_proof(world: World, lost: Published, other: Published) -> bool:
    """Whether a message shows that a former one of its epoch was published: Redis does not tell former epochs."""
    is_known = other.place is Place.DATABASE or other.position.epoch == world.head.epoch
    return (
        other.can_be_read
        and is_known
        and other.position.epoch == lost.position.epoch
        and not (other.is_in_log and other.position.epoch != world.head.epoch)
    )
