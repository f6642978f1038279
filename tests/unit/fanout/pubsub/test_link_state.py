"""LinkState: intent and acknowledgement kept apart, over one connection after another."""

from collections import Counter

import pytest
from tannoy.fanout.pubsub.link_state import BATCH, LinkState
from tannoy.fanout.redis.connection import Pushes

from tests.support.memory_redis import read_commands
from tests.support.scripted_redis import data_to_send

ECHO = b"echo"
A, B = b"a", b"b"


def sent(state: LinkState) -> list[list[bytes]]:
    """The commands that the link sends now, without the subscription to its own echo."""
    commands = [[word for word in command if word != ECHO] for command in read_commands(data_to_send(state))]
    return [command for command in commands if len(command) > 1]


def push(kind: str, *channels: bytes, payload: bytes | int = 1) -> Pushes:
    return [[kind.encode(), channel, payload] for channel in channels]


def connected(*wanted: bytes) -> LinkState:
    """A link that is up, with its subscriptions confirmed."""
    state = LinkState(ECHO)
    for channel in wanted:
        state.want(channel)
    state.opened(0.0)
    data_to_send(state)
    state.received(push("subscribe", ECHO, *wanted))
    return state


# ---- intent and acknowledgement


def test_what_is_wanted_is_asked_for_and_not_confirmed_yet() -> None:
    state = connected()
    state.want(A)
    assert sent(state) == [[b"SUBSCRIBE", A]]
    assert not state.is_confirmed(A)


def test_what_redis_acknowledges_is_confirmed_and_told_once() -> None:
    state = connected()
    state.want(A)
    data_to_send(state)
    assert state.received(push("subscribe", A)).confirmed == [A]
    assert state.is_confirmed(A)
    assert state.received([]).confirmed == []


def test_the_same_is_not_asked_for_twice() -> None:
    state = connected()
    state.want(A)
    data_to_send(state)
    assert data_to_send(state) == b""


def test_what_is_confirmed_already_is_not_asked_for_again() -> None:
    state = connected(A)
    state.want(A)
    assert sent(state) == []
    assert state.is_confirmed(A)


def test_what_is_not_wanted_any_more_is_left() -> None:
    state = connected(A)
    state.unwant(A)
    assert not state.is_confirmed(A)
    assert sent(state) == [[b"UNSUBSCRIBE", A]]


def test_want_and_unwant_within_a_turn_cost_redis_nothing() -> None:
    state = connected()
    state.want(A)
    state.unwant(A)
    assert sent(state) == []


def test_unwant_and_want_within_a_turn_cost_redis_nothing() -> None:
    state = connected(A)
    state.unwant(A)
    state.want(A)
    assert sent(state) == []
    assert state.is_confirmed(A)


def test_unwant_while_the_subscription_is_unanswered_is_sent_behind_it() -> None:
    state = connected()
    state.want(A)
    data_to_send(state)
    state.unwant(A)
    assert sent(state) == [[b"UNSUBSCRIBE", A]]


def test_only_the_last_of_several_unanswered_commands_decides() -> None:
    state = connected()
    for change in (state.want, state.unwant, state.want):
        change(A)
        data_to_send(state)
    assert state.received(push("subscribe", A)).confirmed == []
    assert not state.is_confirmed(A), "an UNSUBSCRIBE is still under way"
    assert state.received(push("unsubscribe", A)).confirmed == []
    assert state.received(push("subscribe", A)).confirmed == [A]
    assert state.is_confirmed(A)


def test_an_acknowledgement_of_what_is_no_longer_wanted_confirms_nothing() -> None:
    state = connected()
    state.want(A)
    data_to_send(state)
    state.unwant(A)
    assert state.received(push("subscribe", A)).confirmed == []
    assert not state.is_confirmed(A)
    assert sent(state) == [[b"UNSUBSCRIBE", A]]


def test_what_redis_takes_away_unasked_is_asked_for_again() -> None:
    state = connected(A, B)
    state.received(push("unsubscribe", A))
    assert not state.is_confirmed(A)
    assert sent(state) == [[b"SUBSCRIBE", A]]
    assert state.received(push("subscribe", A)).confirmed == [A]


def test_what_redis_takes_away_and_nobody_wants_stays_away() -> None:
    state = connected(A)
    state.unwant(A)
    data_to_send(state)
    state.received(push("unsubscribe", A))
    assert sent(state) == []


# ---- batches


def test_no_command_names_more_channels_than_a_batch() -> None:
    state = connected()
    wanted = {b"%d" % number for number in range(2 * BATCH + 7)}
    for channel in wanted:
        state.want(channel)
    commands = sent(state)
    assert [len(command) - 1 for command in commands] == [BATCH, BATCH, 7]
    assert {channel for command in commands for channel in command[1:]} == wanted


def test_a_batch_is_512_channels() -> None:
    assert BATCH == 512


def test_a_reconnect_asks_for_each_channel_once_and_for_its_echo_first() -> None:
    state = LinkState(ECHO)
    for number in range(2 * BATCH):
        state.want(b"%d" % number)
    state.opened(0.0)
    channels = [channel for command in read_commands(data_to_send(state)) for channel in command[1:]]
    assert channels[0] == ECHO
    assert set(Counter(channels).values()) == {1}
    assert len(channels) == 2 * BATCH + 1


# ---- connections


def test_without_a_connection_nothing_is_sent_and_the_intent_is_kept() -> None:
    state = LinkState(ECHO)
    state.want(A)
    assert data_to_send(state) == b""
    state.opened(0.0)
    assert sent(state) == [[b"SUBSCRIBE", A]]


def test_a_lost_connection_takes_the_acknowledgements_with_it() -> None:
    state = connected(A)
    state.closed()
    assert not state.is_confirmed(A)
    assert data_to_send(state) == b""


def test_a_reconnect_restores_the_intent_as_it_is_by_then() -> None:
    state = connected(A)
    state.closed()
    state.unwant(A)
    state.want(B)
    state.opened(1.0)
    assert sent(state) == [[b"SUBSCRIBE", B]]


def test_commands_that_died_with_a_connection_are_not_waited_for_on_the_next() -> None:
    state = connected()
    state.want(A)
    data_to_send(state)
    state.closed()
    state.opened(1.0)
    data_to_send(state)
    assert state.received(push("subscribe", ECHO, A)).confirmed == [ECHO, A]


def test_each_connection_is_an_incarnation_of_its_own() -> None:
    state = LinkState(ECHO)
    seen: list[int] = []
    for at in range(3):
        state.opened(at)
        seen.append(state.incarnation)
        state.closed()
    assert len(set(seen)) == 3
    assert seen == sorted(seen)


# ---- deliveries


def test_deliveries_come_in_the_order_of_the_bus_without_the_links_own_echo() -> None:
    state = connected(A, B)
    pushes = [
        *push("message", A, payload=b"1"),
        *push("message", ECHO, payload=b"9"),
        *push("message", B, payload=b"2"),
    ]
    pushes += push("message", A, payload=b"3")
    assert state.received(pushes).deliveries == [(A, b"1"), (B, b"2"), (A, b"3")]


@pytest.mark.parametrize("kind", ["pmessage", "invalidate", "psubscribe"])
def test_pushes_of_another_kind_are_none_of_its_business(kind: str) -> None:
    state = connected(A)
    events = state.received(push(kind, A))
    assert (events.deliveries, events.confirmed) == ([], [])
    assert state.is_confirmed(A)
