"""The rules by which a client reads a channel: each message once and in order, and missing ones are reported."""

import pytest
from tannoy.client.catch_up import CatchUp, Frame, Missing
from tannoy.shared.protocol.commands import PAGE_MAX
from tannoy.shared.publication import Position


def message(offset: int, epoch: str = "e1") -> Frame:
    """No two have the same timestamp, whatever the epoch in which they were published."""
    return {
        "type": "message",
        "user_id": "ada",
        "session_id": "laptop",
        "timestamp": f"{epoch} {offset}",
        "offset": offset,
    }


def messages(first: int, last: int, epoch: str = "e1") -> list[Frame]:
    return [message(offset, epoch) for offset in range(first, last + 1)]


class ScriptedHistory:
    """The history of a channel. After `fails_after` requests each further one is refused.

    `fitting`: messages that fit into one answer.
    """

    def __init__(
        self, epoch: str, kept: list[Frame], *, head: int | None = None, fails_after: int = 99, fitting: int = PAGE_MAX
    ) -> None:
        self.head = Position(epoch, head if head is not None else kept[-1]["offset"])
        self.kept = kept
        self.requests = 0
        self._fails_after = fails_after
        self._fitting = fitting

    async def request_history(self, **fields: int) -> Frame | None:
        self.requests += 1
        if self.requests > self._fails_after:
            return None
        since, before, limit = fields.get("since"), fields.get("before", 2**53), fields["limit"]
        above = [each for each in self.kept if (since or 0) < each["offset"] < before]
        count = min(limit, self._fitting)
        page = above[-count:] if since is None else above[:count]
        more = {"more": True} if self._fitting < min(limit, len(above)) else {}
        return {"messages": page, **self.head.as_fields(), **more}


def catch_up(*known: Frame, position: Position) -> CatchUp:
    it = CatchUp()
    it.start_after(position, known=known)
    return it


async def read_missed(it: CatchUp, log: ScriptedHistory) -> list[Frame | Missing]:
    return [item async for item in it.read_missed(log.head, log.request_history)]


def test_a_message_at_or_below_the_position_is_not_accepted_again() -> None:
    it = catch_up(position=Position("e1", 4))
    assert [it.accept(message(offset)) for offset in (4, 5, 5, 6, 5)] == [False, True, False, True, False]
    assert it.position == Position("e1", 6)


def test_without_a_position_every_message_is_accepted() -> None:
    it = CatchUp()
    it.start_after(None)
    assert it.accept({"type": "message"})
    assert it.accept({"type": "message"})


async def test_missed_messages_are_read_from_the_history() -> None:
    it = catch_up(position=Position("e1", 4))
    assert await read_missed(it, ScriptedHistory("e1", messages(1, 9))) == messages(5, 9)
    assert it.position == Position("e1", 9)


async def test_more_messages_than_a_page_holds_are_read_page_by_page() -> None:
    it, much = catch_up(position=Position("e1", 0)), messages(1, 2 * PAGE_MAX + 1)
    log = ScriptedHistory("e1", much)
    assert await read_missed(it, log) == much
    assert log.requests == 3


async def test_no_history_is_requested_if_no_message_was_missed() -> None:
    it, log = catch_up(position=Position("e1", 9)), ScriptedHistory("e1", messages(1, 9))
    assert await read_missed(it, log) == []
    assert log.requests == 0


async def test_messages_no_longer_kept_are_reported_where_they_are_missing() -> None:
    it = catch_up(position=Position("e1", 4))
    read = await read_missed(it, ScriptedHistory("e1", messages(8, 9)))
    assert read == [Missing(Position("e1", 4), Position("e1", 7)), *messages(8, 9)]


async def test_an_empty_history_is_reported_missing_up_to_its_head() -> None:
    it = catch_up(position=Position("e1", 4))
    assert await read_missed(it, ScriptedHistory("e1", [], head=9)) == [Missing(Position("e1", 4), Position("e1", 9))]
    assert it.position == Position("e1", 9)


async def test_a_refused_page_is_reported_missing_and_not_requested_again() -> None:
    it, much = catch_up(position=Position("e1", 0)), messages(1, PAGE_MAX + 5)
    read = await read_missed(it, ScriptedHistory("e1", much, fails_after=1))
    assert read == [*much[:PAGE_MAX], Missing(Position("e1", PAGE_MAX), Position("e1", PAGE_MAX + 5))]


async def test_reading_that_was_stopped_halfway_continues_at_its_position() -> None:
    it, log = catch_up(position=Position("e1", 0)), ScriptedHistory("e1", messages(1, 5))
    async for item in it.read_missed(log.head, log.request_history):
        if item == message(3):
            break
    assert it.position == Position("e1", 3)
    assert await read_missed(it, log) == messages(4, 5)


async def test_a_new_epoch_that_starts_at_offset_one_is_read_from_its_start() -> None:
    it = catch_up(*messages(1, 4), position=Position("e1", 4))
    read = await read_missed(it, ScriptedHistory("e2", messages(1, 6, "e2")))
    assert read == [Missing(Position("e1", 4), Position("e2", 0)), *messages(1, 6, "e2")]
    assert it.position == Position("e2", 6)


async def test_a_new_epoch_that_continues_the_history_yields_no_message_twice() -> None:
    """The promoted replica had all messages up to 3, and assigns the offsets 4 and 5 again."""
    it = catch_up(*messages(1, 5), position=Position("e1", 5))
    read = await read_missed(it, ScriptedHistory("e2", messages(1, 3) + messages(4, 6, "e2")))
    assert read == [Missing(Position("e1", 5), Position("e2", 3)), *messages(4, 6, "e2")]


async def test_messages_before_the_start_are_not_read_in_a_new_epoch() -> None:
    it = catch_up(message(5), position=Position("e1", 5))
    read = await read_missed(it, ScriptedHistory("e2", messages(1, 5) + messages(6, 7, "e2")))
    assert read == [Missing(Position("e1", 5), Position("e2", 5)), *messages(6, 7, "e2")]


async def test_a_head_below_the_position_yields_no_message_twice() -> None:
    it, log = catch_up(*messages(1, 5), position=Position("e1", 5)), ScriptedHistory("e1", messages(1, 3))
    assert await read_missed(it, log) == [Missing(Position("e1", 5), Position("e1", 3))]
    assert [it.accept(each) for each in (*messages(4, 5), message(6))] == [False, False, True]


async def test_a_page_of_a_later_epoch_is_left_to_the_resync_of_that_epoch() -> None:
    it, log = catch_up(position=Position("e1", 4)), ScriptedHistory("e3", messages(1, 2, "e3"))
    read = [item async for item in it.read_missed(Position("e2", 9), log.request_history)]
    assert read == [Missing(Position("e1", 4), Position("e2", 9))]
    assert it.position == Position("e2", 9)


async def test_without_history_the_loss_is_reported_and_the_position_forgotten() -> None:
    it, log = catch_up(position=Position("e1", 4)), ScriptedHistory("e1", messages(1, 9))
    assert [item async for item in it.read_missed(None, log.request_history)] == [Missing(Position("e1", 4), None)]
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
def test_the_sentence_names_the_missing_offsets(missing: Missing, words: str) -> None:
    assert "messages may be missing" in str(missing)
    assert words in str(missing)


@pytest.mark.parametrize("fitting", [1, 3, 7])
async def test_messages_that_fit_into_no_single_answer_are_read_in_several(fitting: int) -> None:
    kept = messages(1, 10)
    assert await read_missed(catch_up(position=Position("e1", 0)), ScriptedHistory("e1", kept, fitting=fitting)) == kept


@pytest.mark.parametrize("fitting", [1, 3, 7])
async def test_a_new_epoch_whose_messages_fit_into_no_single_answer_is_read_whole(fitting: int) -> None:
    kept = messages(1, 10, "e2")
    log = ScriptedHistory("e2", kept, fitting=fitting)
    missing, *read = await read_missed(catch_up(position=Position("e1", 4)), log)
    assert (missing, read) == (Missing(Position("e1", 4), Position("e2", 0)), kept)


async def test_a_part_of_a_new_epoch_that_can_not_be_read_is_missing() -> None:
    kept = messages(1, 10, "e2")
    log = ScriptedHistory("e2", kept, fitting=3, fails_after=2)
    missing, *read = await read_missed(catch_up(position=Position("e1", 4)), log)
    assert (missing, read) == (Missing(Position("e1", 4), Position("e2", 4)), kept[4:])
