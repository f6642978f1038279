"""What a bystander noticed, in numbers."""

from tests.attack.window import Window, percentile


def test_the_percentile_of_no_values_is_zero() -> None:
    assert percentile([], 0.99) == 0.0


def test_a_percentile_is_one_of_the_values_in_whatever_order_they_came() -> None:
    values = [float(n) for n in range(100, 0, -1)]

    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (51.0, 100.0, 100.0)


def test_the_figures_of_a_window_are_those_of_its_pongs() -> None:
    window = Window(pongs=[1.0, 2.0, 30.0])

    assert (window.p50, window.p99, window.longest) == (2.0, 30.0, 30.0)
