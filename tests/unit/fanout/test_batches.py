"""Long lists in batches."""

import pytest
from tannoy.fanout.batches import batched, batched_by_size


@pytest.mark.parametrize(
    ("count", "batches"),
    [(0, []), (1, [[0]]), (3, [[0, 1, 2]]), (4, [[0, 1, 2], [3]]), (6, [[0, 1, 2], [3, 4, 5]])],
)
def test_items_come_in_order_in_full_batches_and_a_rest(count: int, batches: list[list[int]]) -> None:
    assert list(batched(range(count), 3)) == batches


def test_an_iterator_is_read_only_once() -> None:
    assert list(batched(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]


def test_batches_by_size_have_at_most_that_size_and_all_items_in_order() -> None:
    assert list(batched_by_size([3, 3, 4, 5, 6], lambda item: item, 10)) == [[3, 3, 4], [5], [6]]


def test_an_item_larger_than_a_batch_is_a_batch_of_its_own() -> None:
    assert list(batched_by_size([1, 20, 1, 1], lambda item: item, 10)) == [[1], [20], [1, 1]]


def test_no_items_are_no_batches_by_size() -> None:
    assert list(batched_by_size([], len, 10)) == []
