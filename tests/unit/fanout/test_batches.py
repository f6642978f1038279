"""Long lists in batches."""

import pytest
from tannoy.fanout.batches import batched


@pytest.mark.parametrize(
    ("count", "batches"),
    [(0, []), (1, [[0]]), (3, [[0, 1, 2]]), (4, [[0, 1, 2], [3]]), (6, [[0, 1, 2], [3, 4, 5]])],
)
def test_items_come_in_order_in_full_batches_and_a_rest(count: int, batches: list[list[int]]) -> None:
    assert list(batched(range(count), 3)) == batches


def test_an_iterator_is_read_only_once() -> None:
    assert list(batched(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]
