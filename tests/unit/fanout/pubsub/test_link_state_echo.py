"""LinkState: the echo, by which the link finds out that Redis does not answer, and when it is live."""

from tannoy.fanout.pubsub.link_state import ECHO_DEADLINE, ECHO_PERIOD, LinkState

from tests.support.link_states import ECHO, A, connected, push
from tests.support.scripted_redis import data_to_send

# ---- echo


def bring_echo(state: LinkState, nonce: bytes | None) -> None:
    assert nonce
    state.handle_pushes(push("message", ECHO, payload=nonce))


def test_a_nonce_that_comes_back_is_followed_by_another_one() -> None:
    state = connected()
    first = state.tick(0.0)
    bring_echo(state, first)
    second = state.tick(ECHO_PERIOD)
    assert first
    assert second
    assert first != second


def test_a_nonce_that_has_not_come_back_is_waited_for_until_its_deadline() -> None:
    state = connected()
    state.tick(0.0)
    assert [state.tick(at) for at in (0.5, 1.0, ECHO_DEADLINE)] == [b"", b"", b""]


def test_a_nonce_that_misses_its_deadline_ends_the_connection() -> None:
    state = connected()
    for at in (0.0, 0.5, 1.0, 1.5):
        state.tick(at)
    assert state.tick(ECHO_DEADLINE + 0.01) is None


def test_an_old_nonce_does_not_count_as_the_present_one() -> None:
    state = connected()
    old = state.tick(0.0)
    bring_echo(state, old)
    for at in (0.5, 1.0, 1.5, 2.0):
        state.tick(at)
    bring_echo(state, old)
    assert state.tick(2.01) is None


def test_a_nonce_of_an_earlier_connection_does_not_make_the_link_live() -> None:
    state = connected()
    old = state.tick(0.0)
    state.on_disconnected()
    state.on_connected(0.1)
    state.tick(0.1)
    bring_echo(state, old)
    assert not state.is_live


def test_a_nonce_gets_its_full_time_again_after_the_node_was_suspended() -> None:
    state = connected()
    state.tick(0.0)
    assert state.tick(60.0) == b""


def test_after_a_suspension_a_missing_nonce_ends_the_connection_one_deadline_later() -> None:
    state = connected()
    state.tick(0.0)
    assert [state.tick(60.0 + step * ECHO_PERIOD) for step in range(5)] == [b"", b"", b"", b"", None]


# ---- live


def test_a_link_is_live_once_all_is_subscribed_and_its_echo_has_come() -> None:
    state = connected(A)
    assert not state.is_live
    bring_echo(state, state.tick(0.0))
    assert state.is_live


def test_a_link_with_an_unacknowledged_channel_is_not_live() -> None:
    state = LinkState(ECHO)
    state.subscribe(A)
    state.on_connected(0.0)
    data_to_send(state)
    state.handle_pushes(push("subscribe", ECHO))
    bring_echo(state, state.tick(0.0))
    assert not state.is_live
    state.handle_pushes(push("subscribe", A))
    assert state.is_live


def test_a_live_link_stays_live_while_it_subscribes_to_more() -> None:
    state = connected()
    bring_echo(state, state.tick(0.0))
    state.subscribe(A)
    data_to_send(state)
    assert state.is_live


def test_a_channel_added_after_a_reconnect_does_not_delay_being_live() -> None:
    # `is_live` waits only for the channels that were wanted when the connection began.
    state = LinkState(ECHO)
    state.on_connected(0.0)
    data_to_send(state)
    state.subscribe(A)
    data_to_send(state)
    state.handle_pushes(push("subscribe", ECHO))
    bring_echo(state, state.tick(0.0))
    assert state.is_live


def test_after_a_reconnect_a_link_is_live_only_with_a_new_echo() -> None:
    state = connected(A)
    bring_echo(state, state.tick(0.0))
    state.on_disconnected()
    assert not state.is_live
    state.on_connected(1.0)
    assert not state.is_live
