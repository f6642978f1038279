"""The times that heartbeats and leases live by, and which of them make no sense together."""

import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES, LeaseTimes


def test_a_node_stops_to_serve_a_margin_before_its_lease_runs_out_in_redis() -> None:
    assert LeaseTimes(lease_seconds=6.0, margin_seconds=1.0).valid_seconds == 5.0


def test_the_scripts_get_whole_milliseconds() -> None:
    times = LeaseTimes(heartbeat_seconds=0.2, lease_seconds=0.6, margin_seconds=0.1, recovery_seconds=0.55)
    assert (times.lease_ms, times.recovery_ms, times.silent_ms) == (600, 550, 400)


def test_a_node_misses_two_heartbeats_before_its_lease_runs_out() -> None:
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
