from tannoy.fanout.external.window import WINDOW_LENGTH, TimeWindow, WindowStatistics


def test_statistics_of_an_empty_window_have_no_times() -> None:
    assert TimeWindow().statistics() == WindowStatistics(0, None, None)


def test_statistics_are_of_the_times_that_were_recorded() -> None:
    window = TimeWindow()
    for seconds in (0.3, 0.1, 0.2):
        window.record(seconds)

    assert window.statistics() == WindowStatistics(3, 0.2, 0.3)


def test_a_full_window_forgets_the_oldest_time() -> None:
    window = TimeWindow()
    window.record(9.0)
    for _ in range(WINDOW_LENGTH):
        window.record(0.1)

    assert window.statistics() == WindowStatistics(WINDOW_LENGTH, 0.1, 0.1)
