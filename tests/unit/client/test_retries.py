"""When a client connects again."""

import pytest
from tannoy.client.errors import ClientError, ConnectionLost, Evicted
from tannoy.client.retries import BACKOFF_CAP, STABLE_SECONDS, Retries


def longest(low: float, high: float) -> float:
    """The jitter at its bound."""
    return high


def shortest(low: float, high: float) -> float:
    return low


LOST = ConnectionLost("lost")


def test_the_bound_of_the_delay_doubles_up_to_the_cap() -> None:
    retries = Retries(longest)
    assert [retries.next_delay(LOST, 0) for _ in range(7)] == [0.5, 1, 2, 4, 8, BACKOFF_CAP, BACKOFF_CAP]


def test_the_delay_is_drawn_from_zero_on() -> None:
    assert Retries(shortest).next_delay(LOST, 0) == 0


def test_after_a_long_connection_the_back_off_starts_anew() -> None:
    retries = Retries(longest)
    delays = [retries.next_delay(LOST, lasted) for lasted in (0, 0, STABLE_SECONDS + 1, 0)]
    assert delays == [0.5, 1, 0.5, 1]


def test_the_first_retry_follows_the_node() -> None:
    assert Retries(longest).next_delay(ConnectionLost("draining", retry_after=0.1), 0) == 0.1


def test_a_node_that_refuses_again_and_again_causes_no_tight_loop() -> None:
    retries, refused = Retries(longest), ConnectionLost("refused", retry_after=0.1)
    assert [retries.next_delay(refused, 0) for _ in range(3)] == [0.1, 1, 2]


def test_the_node_is_waited_for_longer_than_the_jitter_if_it_says_so() -> None:
    retries, refused = Retries(shortest), ConnectionLost("refused", retry_after=7)
    assert [retries.next_delay(refused, 0) for _ in range(2)] == [7, 7]


def test_a_final_end_is_raised() -> None:
    evicted = Evicted("4500 evicted", is_final=True, code=4500)
    with pytest.raises(Evicted):
        Retries(longest).next_delay(evicted, 100)


def test_after_the_last_attempt_the_error_names_their_number_and_the_reason() -> None:
    retries = Retries(longest, max_attempts=2)
    retries.next_delay(LOST, 0)
    with pytest.raises(ClientError, match="failed 2 times in a row, the last time with: lost"):
        retries.next_delay(LOST, 0)


def test_attempts_before_a_long_connection_do_not_count() -> None:
    retries = Retries(longest, max_attempts=2)
    retries.next_delay(LOST, 0)
    assert retries.next_delay(LOST, STABLE_SECONDS + 1) == 0.5
