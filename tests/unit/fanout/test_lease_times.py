"""The times of heartbeats and leases, and which of them are refused together."""

import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES, LeaseTimes


def test_a_heartbeat_is_valid_for_a_margin_less_than_its_lease_in_redis() -> None:
    assert LeaseTimes(lease_seconds=6.0, margin_seconds=1.0).valid_seconds == 5.0


def test_times_of_scripts_are_whole_milliseconds() -> None:
    times = LeaseTimes(heartbeat_seconds=0.2, lease_seconds=0.6, margin_seconds=0.1, recovery_seconds=0.55)
    assert (times.lease_ms, times.recovery_ms, times.silent_ms) == (600, 550, 400)


def test_two_heartbeats_may_be_missed_before_the_lease_expires() -> None:
    assert DEFAULT_TIMES.silent_ms == 4000


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        ({"heartbeat_seconds": 0.0}, "heartbeats have to come while the last one is valid"),
        ({"heartbeat_seconds": 5.0}, "heartbeats have to come while the last one is valid"),
        ({"margin_seconds": 0.0}, "heartbeats have to come while the last one is valid"),
        ({"recovery_seconds": 4.9}, "a Redis that recovers has to wait"),
        ({"admission_seconds": 5.9}, "a handshake has to wait"),
    ],
)
def test_times_under_which_two_nodes_could_hold_one_lease_are_refused(times: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LeaseTimes(**times)
