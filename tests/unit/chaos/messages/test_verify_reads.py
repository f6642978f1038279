"""What clients of the product have read is judged over all their connections."""

import pytest

from tests.chaos.harness.violation import Kind
from tests.chaos.messages.record import Acknowledged, Head, Position, Post, ReadGap, ReadMessage, Reads
from tests.chaos.messages.verify_reads import count_told_missing, verify_reads

E, F = "e1", "e2"
ROOM = "room:lobby"
Item = ReadMessage | ReadGap


def read(offset: int, number: int | None = None, epoch: str = E, timestamp: str = "") -> ReadMessage:
    return ReadMessage(1.0, Position(epoch, offset), offset, offset if number is None else number, timestamp)


def gap(after: Position | None, until: Position | None) -> ReadGap:
    return ReadGap(1.0, after, until)


def found(*items: Item, end: Position | None = None, head: Position | None = None) -> list[Kind]:
    """`end`: up to where it has read, if not the last item says so."""
    reads = Reads("python.0", ROOM, Position(E, 0), list(items), position=end)
    heads = [] if head is None else [Head(2.0, ROOM, "n1", head)]
    acknowledged = [Acknowledged(Post(n, ROOM, 0, None), Position(E, n), 1.0, 1) for n in (1, 2, 3)]
    return [violation.kind for violation in verify_reads([reads], acknowledged, heads)]


@pytest.mark.parametrize(
    ("items", "kinds"),
    [
        pytest.param((read(1), read(2), read(3)), [], id="all"),
        pytest.param((read(1), read(3)), [Kind.HOLE], id="one is missing"),
        pytest.param((read(2),), [Kind.HOLE], id="the first one is missing"),
        pytest.param((read(1), read(1)), [Kind.DUPLICATE, Kind.DUPLICATE], id="one comes twice"),
        pytest.param((read(1), gap(Position(E, 1), Position(E, 5)), read(6)), [], id="a gap is told"),
        pytest.param((read(1), gap(Position(E, 1), Position(E, 5)), read(8)), [Kind.HOLE], id="more than the gap"),
        pytest.param((read(1), gap(Position(E, 3), Position(E, 5)), read(6)), [Kind.HOLE], id="a gap begins later"),
        pytest.param((read(1), read(2, 9, F)), [Kind.HOLE], id="a new epoch without a gap"),
        pytest.param((read(1), gap(Position(E, 1), Position(F, 1)), read(2, 9, F)), [], id="a new epoch with a gap"),
        pytest.param(
            (read(1), gap(Position(E, 1), Position(F, 0)), read(1, 1, F)), [Kind.DUPLICATE], id="again in a new epoch"
        ),
        pytest.param(
            (read(1), gap(Position(E, 1), Position(F, 0)), read(1, 1, F, "later")), [], id="published again once lost"
        ),
        pytest.param((gap(Position(E, 0), None), read(1)), [Kind.NO_POSITION], id="a message without a position"),
        pytest.param((gap(Position(E, 0), None), gap(None, Position(E, 2)), read(3)), [], id="told where it goes on"),
        pytest.param((read(1, 7),), [Kind.CONFLICTING], id="another content than was acknowledged"),
    ],
)
def test_each_message_comes_once_and_in_order_unless_a_gap_is_told(items: tuple[Item, ...], kinds: list[Kind]) -> None:
    assert found(*items) == kinds


@pytest.mark.parametrize(
    ("gaps", "kinds"),
    [
        pytest.param([gap(Position(E, 400), Position(F, 0))], [], id="told by a new epoch"),
        pytest.param([], [Kind.HOLE, Kind.DUPLICATE], id="not told"),
    ],
)
def test_a_message_of_old_data_may_come_again_in_a_new_epoch(gaps: list[Item], kinds: list[Kind]) -> None:
    old = [read(offset) for offset in range(1, 401)]
    assert found(*old, *gaps, read(1, 1, F)) == kinds


def test_a_client_that_has_not_read_up_to_the_head_is_behind() -> None:
    assert found(read(1), end=Position(E, 1), head=Position(E, 2)) == [Kind.BEHIND]
    assert found(read(1), end=Position(E, 1), head=Position(E, 1)) == []


def test_only_gaps_within_one_epoch_can_be_counted() -> None:
    items: list[Item] = [gap(Position(E, 1), Position(E, 5)), gap(Position(E, 5), Position(F, 9)), gap(None, None)]
    assert count_told_missing(Reads("python.0", ROOM, None, items)) == 4
