"""LinkState: whether the link hears what it should, by its own echo."""

from tannoy.fanout.pubsub.link_state import ECHO_DEADLINE, ECHO_PERIOD, LinkState

from tests.support.scripted_redis import data_to_send
from tests.unit.fanout.pubsub.test_link_state import ECHO, A, connected, push

# ---- echo


def hear(state: LinkState, nonce: bytes | None) -> None:
    assert nonce
    state.received(push("message", ECHO, payload=nonce))


def test_a_nonce_that_comes_back_is_followed_by_another_one() -> None:
    state = connected()
    first = state.tick(0.0)
    hear(state, first)
    second = state.tick(ECHO_PERIOD)
    assert first
    assert second
    assert first != second


def test_a_nonce_that_is_still_out_is_waited_for_until_its_deadline() -> None:
    state = connected()
    state.tick(0.0)
    assert [state.tick(at) for at in (0.5, 1.0, ECHO_DEADLINE)] == [b"", b"", b""]


def test_a_nonce_that_is_out_longer_than_its_deadline_proves_the_link_deaf() -> None:
    state = connected()
    for at in (0.0, 0.5, 1.0, 1.5):
        state.tick(at)
    assert state.tick(ECHO_DEADLINE + 0.01) is None


def test_an_old_nonce_proves_nothing() -> None:
    state = connected()
    old = state.tick(0.0)
    hear(state, old)
    for at in (0.5, 1.0, 1.5, 2.0):
        state.tick(at)
    hear(state, old)
    assert state.tick(2.01) is None


def test_a_nonce_of_the_last_connection_proves_nothing_on_this_one() -> None:
    state = connected()
    old = state.tick(0.0)
    state.closed()
    state.opened(0.1)
    state.tick(0.1)
    hear(state, old)
    assert not state.is_live


def test_a_node_that_was_frozen_itself_does_not_judge_by_that_time() -> None:
    state = connected()
    state.tick(0.0)
    assert state.tick(60.0) == b""


def test_a_node_that_was_frozen_judges_again_a_deadline_later() -> None:
    state = connected()
    state.tick(0.0)
    assert [state.tick(60.0 + step * ECHO_PERIOD) for step in range(5)] == [b"", b"", b"", b"", None]


# ---- live


def test_a_link_is_live_once_all_is_confirmed_and_it_has_heard_itself() -> None:
    state = connected(A)
    assert not state.is_live
    hear(state, state.tick(0.0))
    assert state.is_live


def test_a_link_that_hears_itself_is_not_live_while_something_is_unconfirmed() -> None:
    state = LinkState(ECHO)
    state.want(A)
    state.opened(0.0)
    data_to_send(state)
    state.received(push("subscribe", ECHO))
    hear(state, state.tick(0.0))
    assert not state.is_live
    state.received(push("subscribe", A))
    assert state.is_live


def test_a_link_stays_live_while_it_subscribes_to_more() -> None:
    state = connected()
    hear(state, state.tick(0.0))
    state.want(A)
    data_to_send(state)
    assert state.is_live


def test_what_is_wanted_after_a_reconnect_does_not_delay_being_live() -> None:
    # `is_live`: "all that was wanted when this incarnation began is confirmed".
    state = LinkState(ECHO)
    state.opened(0.0)
    data_to_send(state)
    state.want(A)
    data_to_send(state)
    state.received(push("subscribe", ECHO))
    hear(state, state.tick(0.0))
    assert state.is_live


def test_a_reconnect_makes_a_live_link_prove_itself_anew() -> None:
    state = connected(A)
    hear(state, state.tick(0.0))
    state.closed()
    assert not state.is_live
    state.opened(1.0)
    assert not state.is_live
