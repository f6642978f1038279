"""When a token is replaced ahead of its end. tests/cluster/test_python_client_tokens.py has the rest."""

import pytest
from tannoy.client.token_refresh import parse_expiry, seconds_until_refresh

NOW = 1_795_249_330.0


def earliest(low: float, high: float) -> float:
    return low


def latest(low: float, high: float) -> float:
    return high


def test_a_token_is_replaced_in_the_last_quarter_of_its_life() -> None:
    assert seconds_until_refresh(NOW + 3600, NOW, earliest) == 2700
    assert seconds_until_refresh(NOW + 3600, NOW, latest) == 3240


def test_at_least_a_second_is_left_for_it() -> None:
    assert seconds_until_refresh(NOW + 10, NOW, latest) == 9


@pytest.mark.parametrize("left", [9.9, 0, -3600])
def test_a_token_that_is_nearly_over_or_seems_so_to_a_fast_clock_is_not_replaced_ahead(left: float) -> None:
    assert seconds_until_refresh(NOW + left, NOW, earliest) is None


def test_the_expiry_of_a_frame_is_read_in_unix_seconds() -> None:
    assert parse_expiry("2026-11-21T08:22:10.500Z") == NOW + 0.5
