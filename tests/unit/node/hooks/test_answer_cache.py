"""Answers that are used again for as long as the back end has said."""

from tannoy.node.hooks.answer_cache import ANSWERS_MAX, KEPT_MAX_SECONDS, AnswerCache, key_of

from tests.support.clock import ManualClock


def test_an_answer_is_found_until_its_time_is_over() -> None:
    clock = ManualClock()
    cache: AnswerCache[str] = AnswerCache(clock)
    cache.keep(b"k", "yes", 10)
    clock.advance(9.9)
    assert cache.find(b"k") == "yes"
    clock.advance(0.1)
    assert cache.find(b"k") is None


def test_an_answer_without_a_time_is_not_kept() -> None:
    cache: AnswerCache[str] = AnswerCache(ManualClock())
    cache.keep(b"k", "yes", 0)
    assert cache.find(b"k") is None


def test_an_answer_is_kept_for_an_hour_at_most() -> None:
    clock = ManualClock()
    cache: AnswerCache[str] = AnswerCache(clock)
    cache.keep(b"k", "yes", 10 * KEPT_MAX_SECONDS)
    clock.advance(KEPT_MAX_SECONDS)
    assert cache.find(b"k") is None


def test_the_answer_that_was_not_used_longest_goes_where_there_are_too_many() -> None:
    cache: AnswerCache[int] = AnswerCache(ManualClock())
    for number in range(ANSWERS_MAX):
        cache.keep(str(number).encode(), number, 60)
    assert cache.find(b"0") == 0
    cache.keep(b"new", -1, 60)
    assert (cache.find(b"0"), cache.find(b"1"), cache.find(b"new")) == (0, None, -1)


def test_questions_are_the_same_whatever_the_order_of_their_fields() -> None:
    assert key_of({"a": 1, "b": {"c": 2, "d": 3}}) == key_of({"b": {"d": 3, "c": 2}, "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
