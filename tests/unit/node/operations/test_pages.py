"""As much of a list as fits into one answer."""

import pytest
from tannoy.node.operations.pages import ANSWER_MAX_BYTES, fit, page_bytes

SIZES = [3, 4, 5, 6]


def size_of(item: int) -> int:
    return item


@pytest.mark.parametrize(
    ("max_bytes", "first", "last"),
    [
        (100, [3, 4, 5, 6], [3, 4, 5, 6]),
        (18, [3, 4, 5, 6], [3, 4, 5, 6]),
        (17, [3, 4, 5], [4, 5, 6]),
        (7, [3, 4], [6]),
        (6, [3], [6]),
        (0, [3], [6]),
    ],
)
def test_a_list_is_cut_at_its_end_or_at_its_beginning(max_bytes: int, first: list[int], last: list[int]) -> None:
    assert fit(SIZES, size_of, max_bytes) == (first, first != SIZES)
    assert fit(SIZES, size_of, max_bytes, last=True) == (last, last != SIZES)


@pytest.mark.parametrize("last", [False, True])
def test_an_empty_list_is_not_cut(last: bool) -> None:
    assert fit([], size_of, 0, last=last) == ([], False)


@pytest.mark.parametrize("outbox_max_bytes", [4096, ANSWER_MAX_BYTES, 2**30])
def test_a_page_leaves_room_for_the_rest_of_the_answer(outbox_max_bytes: int) -> None:
    assert 0 < page_bytes(outbox_max_bytes) <= min(outbox_max_bytes, ANSWER_MAX_BYTES) - 1024
