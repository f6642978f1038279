"""Rates as settings have them."""

import pytest
from tannoy.shared.rates import RATE_COUNT_MAX, Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50/s", Rate(50)),
        ("600/m", Rate(600, 60)),
        (" 1000/h ", Rate(1000, 3600)),
        (f"{RATE_COUNT_MAX}/s", Rate(RATE_COUNT_MAX)),
        ("0", Rate(0)),
        ("0/m", Rate(0)),
    ],
)
def test_a_rate_is_a_number_and_its_time(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


NOT_RATES = [
    "",
    "50",
    "/s",
    "50/",
    "50/d",
    "50 / s",
    "-1/s",
    "+1/s",
    "1.5/s",
    "1e3/s",
    "٣/s",
    f"{RATE_COUNT_MAX + 1}/s",
]


@pytest.mark.parametrize("text", NOT_RATES)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"N/s, N/m or N/h, for instance 50/s, with N from 1 to .*; or 0 for no limit"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["50/s", "600/m", "1000/h", "0"])
def test_a_rate_is_shown_as_it_was_written(text: str) -> None:
    assert str(parse_rate(text)) == text


def test_five_times_the_count_comes_back_in_five_times_the_time() -> None:
    rate = parse_rate("600/m")

    assert (rate.interval, rate.fill_seconds) == (0.1, 300)
