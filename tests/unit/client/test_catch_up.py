"""The rules by which a client reads a channel: each message once, in order, and what may be missing is told."""

import pytest
from tannoy.client.catch_up import CatchUp, Frame, Missing
from tannoy.shared.protocol.commands import PAGE_MAX
from tannoy.shared.publication import Position


def message(offset: int, said_in: str = "e1") -> Frame:
    """No two have the same timestamp, whatever the epoch in which they were said."""
    return {
        "type": "message",
        "user_id": "ada",
        "session_id": "laptop",
        "timestamp": f"{said_in} {offset}",
        "offset": offset,
    }


def messages(first: int, last: int, said_in: str = "e1") -> list[Frame]:
    return [message(offset, said_in) for offset in range(first, last + 1)]


class Log:
    """The history of a channel. `fails_after`: this many questions are answered."""

    def __init__(self, epoch: str, kept: list[Frame], *, head: int | None = None, fails_after: int = 99) -> None:
        self.head = Position(epoch, head if head is not None else kept[-1]["offset"])
        self.kept = kept
        self.questions = 0
        self._fails_after = fails_after

    async def ask(self, **fields: int) -> Frame | None:
        self.questions += 1
        if self.questions > self._fails_after:
            return None
        since, limit = fields.get("since"), fields["limit"]
        above = [said for said in self.kept if said["offset"] > (since or 0)]
        page = above[-limit:] if since is None else above[:limit]
        return {"messages": page, **self.head.as_fields()}


def reading(*read: Frame, position: Position) -> CatchUp:
    it = CatchUp()
    it.begin(position, before=read)
    return it


async def caught_up(it: CatchUp, log: Log) -> list[Frame | Missing]:
    return [told async for told in it.catch_up(log.head, log.ask)]


def test_each_message_is_new_once() -> None:
    it = reading(position=Position("e1", 4))
    assert [it.is_new(message(offset)) for offset in (4, 5, 5, 6, 5)] == [False, True, False, True, False]
    assert it.position == Position("e1", 6)


def test_without_positions_every_message_is_new() -> None:
    it = CatchUp()
    it.begin(None)
    assert it.is_new({"type": "message"})
    assert it.is_new({"type": "message"})


async def test_what_was_missed_is_read() -> None:
    it = reading(position=Position("e1", 4))
    assert await caught_up(it, Log("e1", messages(1, 9))) == messages(5, 9)
    assert it.position == Position("e1", 9)


async def test_much_is_read_page_by_page() -> None:
    it, much = reading(position=Position("e1", 0)), messages(1, 2 * PAGE_MAX + 1)
    log = Log("e1", much)
    assert await caught_up(it, log) == much
    assert log.questions == 3


async def test_nothing_is_asked_where_nothing_was_missed() -> None:
    it, log = reading(position=Position("e1", 9)), Log("e1", messages(1, 9))
    assert await caught_up(it, log) == []
    assert log.questions == 0


async def test_what_is_no_longer_kept_is_told_in_its_place() -> None:
    it = reading(position=Position("e1", 4))
    told = await caught_up(it, Log("e1", messages(8, 9)))
    assert told == [Missing(Position("e1", 4), Position("e1", 7)), *messages(8, 9)]


async def test_a_history_that_is_gone_is_told_up_to_its_head() -> None:
    it = reading(position=Position("e1", 4))
    assert await caught_up(it, Log("e1", [], head=9)) == [Missing(Position("e1", 4), Position("e1", 9))]
    assert it.position == Position("e1", 9)


async def test_a_history_that_cannot_be_read_is_told_and_not_asked_for_again() -> None:
    it, much = reading(position=Position("e1", 0)), messages(1, PAGE_MAX + 5)
    told = await caught_up(it, Log("e1", much, fails_after=1))
    assert told == [*much[:PAGE_MAX], Missing(Position("e1", PAGE_MAX), Position("e1", PAGE_MAX + 5))]


async def test_whoever_stops_halfway_goes_on_from_there() -> None:
    it, log = reading(position=Position("e1", 0)), Log("e1", messages(1, 5))
    async for told in it.catch_up(log.head, log.ask):
        if told == message(3):
            break
    assert it.position == Position("e1", 3)
    assert await caught_up(it, log) == messages(4, 5)


async def test_another_epoch_that_counts_from_the_start_is_read_from_its_start() -> None:
    it = reading(*messages(1, 4), position=Position("e1", 4))
    told = await caught_up(it, Log("e2", messages(1, 6, "e2")))
    assert told == [Missing(Position("e1", 4), Position("e2", 0)), *messages(1, 6, "e2")]
    assert it.position == Position("e2", 6)


async def test_another_epoch_that_goes_on_with_the_log_repeats_nothing() -> None:
    """The promoted replica had all up to 3, and gives 4 and 5 out again."""
    it = reading(*messages(1, 5), position=Position("e1", 5))
    told = await caught_up(it, Log("e2", messages(1, 3) + messages(4, 6, "e2")))
    assert told == [Missing(Position("e1", 5), Position("e2", 3)), *messages(4, 6, "e2")]


async def test_what_was_said_before_the_reader_came_stays_unread_in_another_epoch() -> None:
    it = reading(message(5), position=Position("e1", 5))
    told = await caught_up(it, Log("e2", messages(1, 5) + messages(6, 7, "e2")))
    assert told == [Missing(Position("e1", 5), Position("e2", 5)), *messages(6, 7, "e2")]


async def test_a_head_below_what_was_read_repeats_nothing() -> None:
    it, log = reading(*messages(1, 5), position=Position("e1", 5)), Log("e1", messages(1, 3))
    assert await caught_up(it, log) == [Missing(Position("e1", 5), Position("e1", 3))]
    assert [it.is_new(said) for said in (*messages(4, 5), message(6))] == [False, False, True]


async def test_an_answer_from_a_later_epoch_is_left_to_the_resync_that_tells_of_it() -> None:
    it, log = reading(position=Position("e1", 4)), Log("e3", messages(1, 2, "e3"))
    told = [told async for told in it.catch_up(Position("e2", 9), log.ask)]
    assert told == [Missing(Position("e1", 4), Position("e2", 9))]
    assert it.position == Position("e2", 9)


async def test_without_history_all_that_can_be_done_is_to_tell() -> None:
    it, log = reading(position=Position("e1", 4)), Log("e1", messages(1, 9))
    assert [told async for told in it.catch_up(None, log.ask)] == [Missing(Position("e1", 4), None)]
    assert it.position is None


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (Missing(Position("e1", 4), Position("e1", 7)), "offsets 5 to 7 of epoch e1"),
        (Missing(Position("e1", 4), Position("e2", 2)), "all after offset 4 of epoch e1, and all before offset 3 of e"),
        (Missing(None, Position("e2", 2)), "before offset 3 of epoch e2"),
        (Missing(Position("e1", 4), None), "keeps no history"),
    ],
)
def test_what_may_be_missing_is_named(missing: Missing, words: str) -> None:
    assert "messages may be missing" in str(missing)
    assert words in str(missing)
