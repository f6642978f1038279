import pytest
from tannoy.fanout.archive.joining import Gap, find_jumps, start_of
from tannoy.shared.publication import Position

FIRST, SECOND = "1a_100", "1a_200"


def at(*offsets: int, epoch: str = FIRST) -> list[Position]:
    return [Position(epoch, offset) for offset in offsets]


@pytest.mark.parametrize(("epoch", "start"), [("1a_100", 100), ("1a-2b3c", None), ("", None)])
def test_an_archived_epoch_names_the_offset_at_which_it_begins(epoch: str, start: int | None) -> None:
    assert start_of(epoch) == start


@pytest.mark.parametrize(
    ("positions", "gaps"),
    [
        pytest.param(at(101, 102, 103), [], id="consecutive"),
        pytest.param(at(101, 104), [Gap(102, 103)], id="hole within an epoch"),
        pytest.param(at(101, 102) + at(201, epoch=SECOND), [None], id="next epoch from its beginning on"),
        pytest.param(at(101) + at(204, epoch=SECOND), [Gap(201, 203)], id="next epoch without its beginning"),
        pytest.param(at(101) + at(150, epoch="1a-2b3c"), [None], id="epoch that is not archived"),
        pytest.param(at(101) + at(150, epoch=""), [None], id="unknown epoch"),
    ],
)
def test_a_jump_is_a_gap_where_messages_must_have_been(positions: list[Position], gaps: list[Gap | None]) -> None:
    assert [jump.gap for jump in find_jumps(positions, None, None)] == gaps


def test_a_jump_behind_the_lower_end_has_the_index_in_front_of_all() -> None:
    (jump,) = find_jumps(at(105), 102, None)

    assert (jump.index, jump.between, jump.gap) == (-1, Gap(103, 104), Gap(103, 104))


def test_a_jump_in_front_of_the_upper_end_has_the_last_index() -> None:
    (jump,) = find_jumps(at(101, 102), None, Position(FIRST, 105))

    assert (jump.index, jump.between, jump.gap) == (1, Gap(103, 104), Gap(103, 104))


def test_without_positions_the_jump_is_from_end_to_end() -> None:
    (jump,) = find_jumps([], 101, Position(FIRST, 105))

    assert (jump.index, jump.gap) == (-1, Gap(102, 104))
