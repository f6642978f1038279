"""Of lines of one kind so many are logged in a window; the next one tells how many were left out."""

from tannoy.node.admission.sampled_lines import LINES_MAX, WINDOW_SECONDS, SampledLines

from tests.support.clock import ManualClock


def test_lines_are_admitted_up_to_the_bound_and_in_the_next_window_again() -> None:
    clock = ManualClock()
    lines = SampledLines(clock)
    assert [lines.admit("a") for _ in range(LINES_MAX)] == [{}] * LINES_MAX
    assert lines.admit("a") is None
    clock.advance(WINDOW_SECONDS)
    assert lines.admit("a") is not None


def test_the_first_line_after_a_window_tells_how_many_were_left_out() -> None:
    clock = ManualClock()
    lines = SampledLines(clock)
    for _ in range(LINES_MAX + 7):
        lines.admit("a")
    clock.advance(WINDOW_SECONDS)
    assert (lines.admit("a"), lines.admit("a")) == ({"left_out": 7}, {})


def test_each_kind_has_lines_of_its_own() -> None:
    lines = SampledLines(ManualClock())
    for _ in range(LINES_MAX + 1):
        lines.admit("a")
    assert lines.admit("b") == {}
