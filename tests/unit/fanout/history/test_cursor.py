"""One channel's place on this node: every transition, by what goes on to the sockets."""

import pytest
from tannoy.fanout.history import cursor as cursor_module
from tannoy.fanout.history.cursor import RESTARTED, TOO_LATE, Cursor, CursorState
from tannoy.fanout.history.reader import HistoryPage
from tannoy.shared.publication import EncodedMessage, Position, Publication

Told = list[int | str]


def m(offset: int, epoch: str = "e", size: int = 10) -> Publication:
    return Publication(EncodedMessage(b"x" * size, b""), epoch=epoch, offset=offset)


def messages(*offsets: int, epoch: str = "e") -> list[Publication]:
    return [m(offset, epoch) for offset in offsets]


def reset(position: Position, reason: str) -> Publication:
    return Publication(EncodedMessage(reason.encode(), b""), epoch=position.epoch, offset=position.offset, resets=True)


def page(head: int, *offsets: int, epoch: str = "e") -> HistoryPage:
    return HistoryPage(Position(epoch, head), tuple(messages(*offsets, epoch=epoch)))


def told(publications: list[Publication]) -> Told:
    """Messages by their offset, resets as `EPOCH/OFFSET REASON`."""
    return [f"{p.epoch}/{p.offset} {p.encoded.json.decode()}" if p.resets else p.offset for p in publications]


class Bench:
    """A cursor, with what it passed on."""

    def __init__(self, at: int | None = 10) -> None:
        self.cursor = Cursor(reset)
        if at is not None:
            self.cursor.known(Position("e", at))

    def take(self, *offsets: int, epoch: str = "e") -> Told:
        return told([p for offset in offsets for p in self.cursor.take(m(offset, epoch))])

    def known(self, head: int, epoch: str = "e") -> Told:
        return told(self.cursor.known(Position(epoch, head)))

    def proven(self, head: int, epoch: str = "e") -> Told:
        return told(self.cursor.proven(Position(epoch, head)))

    def found(self, head: int, *offsets: int, epoch: str = "e") -> Told:
        return told(self.cursor.found(page(head, *offsets, epoch=epoch)))

    def give_up(self) -> Told:
        return told(self.cursor.give_up())

    @property
    def stands(self) -> tuple[CursorState, str, int]:
        return self.cursor.state, self.cursor.epoch, self.cursor.offset


FOLLOWING, FILLING, UNKNOWN = CursorState.FOLLOWING, CursorState.FILLING, CursorState.UNKNOWN

# ---- unknown


def test_until_a_position_is_known_nothing_goes_on() -> None:
    bench = Bench(None)
    assert bench.take(11, 12) == []
    assert bench.cursor.state is UNKNOWN


@pytest.mark.parametrize(
    ("waiting", "head", "goes_on"),
    [
        ([], 10, []),
        ([11, 12], 10, [11, 12]),
        ([9, 10, 11], 10, [11]),
        ([8, 9], 10, []),
        ([1], 0, [1]),
    ],
)
def test_what_waited_for_the_first_position_goes_on_behind_it(waiting: list[int], head: int, goes_on: Told) -> None:
    bench = Bench(None)
    bench.take(*waiting)
    assert bench.known(head) == goes_on
    assert bench.stands == (FOLLOWING, "e", max([head, *waiting]))


def test_a_hole_behind_the_first_position_is_to_be_filled() -> None:
    bench = Bench(None)
    bench.take(13)
    assert bench.known(10) == []
    assert bench.stands == (FILLING, "e", 10)
    assert bench.found(13, 11, 12, 13) == [11, 12, 13]


def test_what_waited_of_an_epoch_before_the_first_position_is_forgotten() -> None:
    bench = Bench(None)
    bench.take(41, 42, epoch="old")
    bench.take(1)
    assert bench.known(0) == [1]


def test_an_epoch_that_began_while_the_first_position_was_asked_for_is_told() -> None:
    bench = Bench(None)
    bench.take(11)
    bench.take(1, epoch="new")
    assert bench.known(10) == [11, f"new/0 {RESTARTED}", 1]


def test_a_position_that_is_known_already_changes_nothing() -> None:
    bench = Bench(10)
    assert bench.known(99) == bench.known(3, "new") == []
    assert bench.stands == (FOLLOWING, "e", 10)


def test_whoever_could_not_be_told_a_position_is_told_once_it_is_known() -> None:
    bench = Bench(None)
    bench.cursor.unplaced = True
    bench.take(11)
    assert bench.known(10) == [f"e/10 {TOO_LATE}", 11]
    assert not bench.cursor.unplaced


def test_more_than_may_wait_for_the_first_position_is_read_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX", 3)
    bench = Bench(None)
    bench.take(11, 12, 13, 14, 15)
    assert bench.known(10) == []
    assert bench.found(15, 11, 12, 13, 14, 15) == [11, 12, 13, 14, 15]
    assert bench.stands == (FOLLOWING, "e", 15)


# ---- following


def test_what_follows_goes_on_at_once() -> None:
    bench = Bench(10)
    assert bench.take(11, 12, 13) == [11, 12, 13]
    assert bench.stands == (FOLLOWING, "e", 13)


def test_what_was_passed_on_before_is_dropped_and_counted() -> None:
    bench = Bench(10)
    assert bench.take(11, 11, 3, 10, 12) == [11, 12]
    assert bench.cursor.duplicates == 3


def test_what_comes_behind_a_hole_waits() -> None:
    bench = Bench(10)
    assert bench.take(11, 13, 14) == [11]
    assert bench.stands == (FILLING, "e", 11)


@pytest.mark.parametrize("head", [0, 9, 10])
def test_a_head_that_was_passed_on_proves_no_hole(head: int) -> None:
    bench = Bench(10)
    assert bench.proven(head) == []
    assert bench.stands == (FOLLOWING, "e", 10)


def test_a_head_beyond_proves_a_hole() -> None:
    bench = Bench(10)
    assert bench.proven(12) == []
    assert bench.stands == (FILLING, "e", 10)
    assert bench.found(12, 11, 12) == [11, 12]
    assert bench.stands == (FOLLOWING, "e", 12)


def test_nothing_is_found_and_nothing_given_up_where_there_is_no_hole() -> None:
    bench = Bench(10)
    assert bench.found(12, 11, 12) == bench.give_up() == []
    assert bench.stands == (FOLLOWING, "e", 10)


def test_the_barrier_may_tell_the_first_position() -> None:
    bench = Bench(None)
    bench.take(11)
    assert bench.proven(10) == [11]
    assert bench.stands == (FOLLOWING, "e", 11)


# ---- another epoch


def test_a_message_of_another_epoch_begins_it_with_a_reset_before_it() -> None:
    bench = Bench(10)
    assert bench.take(11, epoch="new") == [f"new/10 {RESTARTED}", 11]
    assert bench.take(12, epoch="new") == [12]
    assert bench.stands == (FOLLOWING, "new", 12)


def test_what_is_still_on_its_way_of_the_former_epoch_is_dropped() -> None:
    bench = Bench(10)
    bench.proven(10, "new")
    assert bench.take(11, 12) == []
    assert bench.stands == (FOLLOWING, "new", 10)


def test_a_head_of_another_epoch_begins_it() -> None:
    bench = Bench(10)
    assert bench.proven(3, "new") == [f"new/3 {RESTARTED}"]
    assert bench.take(4, epoch="new") == [4]


def test_with_an_epoch_that_has_ended_goes_what_waited_for_it() -> None:
    bench = Bench(10)
    bench.take(13, 14)
    assert bench.proven(20, "new") == [f"new/20 {RESTARTED}"]
    assert bench.stands == (FOLLOWING, "new", 20)
    assert bench.take(21, epoch="new") == [21]


def test_what_waited_for_an_epoch_that_has_ended_does_not_get_into_the_next() -> None:
    bench = Bench(10)
    bench.take(13, 14)
    bench.proven(10, "new")
    bench.take(12, epoch="new")
    assert bench.found(12, 11, 12, epoch="new") == [11, 12]
    assert bench.stands == (FOLLOWING, "new", 12)


def test_what_was_missing_in_an_epoch_that_has_ended_is_not_missing_in_the_next() -> None:
    bench = Bench(10)
    bench.proven(99)
    bench.proven(0, "new")
    bench.take(2, epoch="new")
    assert bench.found(2, 1, 2, epoch="new") == [1, 2]
    assert bench.stands == (FOLLOWING, "new", 2)


def test_a_log_of_another_epoch_fills_no_hole() -> None:
    bench = Bench(10)
    bench.take(13)
    assert bench.found(12, 11, 12, epoch="new") == [f"new/12 {RESTARTED}"]
    assert bench.stands == (FOLLOWING, "new", 12)
