"""Positions, and the fields of frames that they become."""

import pytest
from tannoy.shared.publication import NO_HISTORY, UNKNOWN_POSITION, Position, StartPosition


def test_a_position_has_epoch_and_offset_as_fields() -> None:
    assert Position("e1", 7).as_fields() == {"epoch": "e1", "offset": 7}


@pytest.mark.parametrize(
    ("start", "fields"),
    [
        (NO_HISTORY, {}),
        (StartPosition(Position("e1", 7)), {"epoch": "e1", "offset": 7}),
        (StartPosition(Position("e1", 7), recovered=True), {"epoch": "e1", "offset": 7, "recovered": True}),
        (StartPosition(None, recovered=False), {"recovered": False}),
    ],
)
def test_a_start_position_has_only_the_fields_that_are_known(start: StartPosition, fields: dict[str, object]) -> None:
    assert start.as_fields() == fields


def test_the_unknown_position_is_in_no_epoch() -> None:
    assert UNKNOWN_POSITION == Position("", 0)
