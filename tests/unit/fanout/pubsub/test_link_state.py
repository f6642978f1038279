"""LinkState: intent and acknowledgement kept apart, over one connection after another."""

from collections import Counter
from typing import Any

import pytest
from tannoy.fanout.pubsub.link_state import LinkState
from tannoy.fanout.pubsub.verbs import CHANNELS_PER_COMMAND

from tests.support.link_states import ECHO, A, B, connected, push
from tests.support.memory_redis import read_commands
from tests.support.scripted_redis import data_to_send


def sent(state: LinkState) -> list[list[bytes]]:
    """The commands that the link sends now, without the subscription to its own echo."""
    commands = [[word for word in command if word != ECHO] for command in read_commands(data_to_send(state))]
    return [command for command in commands if len(command) > 1]


# ---- intent and acknowledgement


def test_a_new_channel_is_sent_to_redis_and_not_subscribed_yet() -> None:
    state = connected()
    state.subscribe(A)
    assert sent(state) == [[b"SUBSCRIBE", A]]
    assert not state.is_subscribed(A)


def test_an_acknowledged_channel_is_subscribed_and_reported_once() -> None:
    state = connected()
    state.subscribe(A)
    data_to_send(state)
    assert state.handle_pushes(push("subscribe", A)).subscribed == [A]
    assert state.is_subscribed(A)
    assert state.handle_pushes([]).subscribed == []


def test_a_channel_is_sent_to_redis_once() -> None:
    state = connected()
    state.subscribe(A)
    data_to_send(state)
    assert data_to_send(state) == b""


def test_a_subscribed_channel_is_not_sent_again() -> None:
    state = connected(A)
    state.subscribe(A)
    assert sent(state) == []
    assert state.is_subscribed(A)


def test_a_channel_that_is_not_wanted_any_more_is_unsubscribed() -> None:
    state = connected(A)
    state.unsubscribe(A)
    assert not state.is_subscribed(A)
    assert sent(state) == [[b"UNSUBSCRIBE", A]]


def test_subscribe_and_unsubscribe_in_one_turn_send_nothing() -> None:
    state = connected()
    state.subscribe(A)
    state.unsubscribe(A)
    assert sent(state) == []


def test_unsubscribe_and_subscribe_in_one_turn_send_nothing() -> None:
    state = connected(A)
    state.unsubscribe(A)
    state.subscribe(A)
    assert sent(state) == []
    assert state.is_subscribed(A)


def test_unsubscribe_is_sent_behind_an_unanswered_subscribe() -> None:
    state = connected()
    state.subscribe(A)
    data_to_send(state)
    state.unsubscribe(A)
    assert sent(state) == [[b"UNSUBSCRIBE", A]]


def test_only_the_answer_to_the_last_of_several_commands_decides() -> None:
    state = connected()
    for change in (state.subscribe, state.unsubscribe, state.subscribe):
        change(A)
        data_to_send(state)
    assert state.handle_pushes(push("subscribe", A)).subscribed == []
    assert not state.is_subscribed(A), "an UNSUBSCRIBE is still unanswered"
    assert state.handle_pushes(push("unsubscribe", A)).subscribed == []
    assert state.handle_pushes(push("subscribe", A)).subscribed == [A]
    assert state.is_subscribed(A)


def test_an_acknowledgement_of_an_unwanted_channel_subscribes_nothing() -> None:
    state = connected()
    state.subscribe(A)
    data_to_send(state)
    state.unsubscribe(A)
    assert state.handle_pushes(push("subscribe", A)).subscribed == []
    assert not state.is_subscribed(A)
    assert sent(state) == [[b"UNSUBSCRIBE", A]]


def test_a_channel_that_redis_unsubscribes_by_itself_is_subscribed_again() -> None:
    state = connected(A, B)
    state.handle_pushes(push("unsubscribe", A))
    assert not state.is_subscribed(A)
    assert sent(state) == [[b"SUBSCRIBE", A]]
    assert state.handle_pushes(push("subscribe", A)).subscribed == [A]


def test_an_unwanted_channel_that_redis_unsubscribes_stays_unsubscribed() -> None:
    state = connected(A)
    state.unsubscribe(A)
    data_to_send(state)
    state.handle_pushes(push("unsubscribe", A))
    assert sent(state) == []


def test_a_late_subscription_to_an_unwanted_channel_is_undone() -> None:
    state = connected(A)
    state.unsubscribe(A)
    data_to_send(state)
    state.subscribe(A)
    data_to_send(state)
    state.handle_pushes(push("unsubscribe", A))
    state.handle_pushes(push("unsubscribe", A))
    state.unsubscribe(A)
    assert sent(state) == []
    assert state.handle_pushes(push("subscribe", A)).unsubscribed == []
    assert sent(state) == [[b"UNSUBSCRIBE", A]]
    assert state.handle_pushes(push("unsubscribe", A)).unsubscribed == [A]


# ---- batches


def test_no_command_names_more_channels_than_the_bound() -> None:
    state = connected()
    wanted = {b"%d" % number for number in range(2 * CHANNELS_PER_COMMAND + 7)}
    for channel in wanted:
        state.subscribe(channel)
    commands = sent(state)
    assert [len(command) - 1 for command in commands] == [CHANNELS_PER_COMMAND, CHANNELS_PER_COMMAND, 7]
    assert {channel for command in commands for channel in command[1:]} == wanted


def test_a_command_names_at_most_512_channels() -> None:
    assert CHANNELS_PER_COMMAND == 512


def test_a_reconnect_subscribes_each_channel_once_and_its_echo_first() -> None:
    state = LinkState(ECHO)
    for number in range(2 * CHANNELS_PER_COMMAND):
        state.subscribe(b"%d" % number)
    state.on_connected(0.0)
    channels = [channel for command in read_commands(data_to_send(state)) for channel in command[1:]]
    assert channels[0] == ECHO
    assert set(Counter(channels).values()) == {1}
    assert len(channels) == 2 * CHANNELS_PER_COMMAND + 1


# ---- connections


def test_without_a_connection_nothing_is_sent_and_the_intent_is_kept() -> None:
    state = LinkState(ECHO)
    state.subscribe(A)
    assert data_to_send(state) == b""
    state.on_connected(0.0)
    assert sent(state) == [[b"SUBSCRIBE", A]]


def test_a_lost_connection_voids_the_acknowledgements() -> None:
    state = connected(A)
    state.on_disconnected()
    assert not state.is_subscribed(A)
    assert data_to_send(state) == b""


def test_a_reconnect_restores_the_intent_of_that_time() -> None:
    state = connected(A)
    state.on_disconnected()
    state.unsubscribe(A)
    state.subscribe(B)
    state.on_connected(1.0)
    assert sent(state) == [[b"SUBSCRIBE", B]]


def test_commands_of_a_lost_connection_are_not_waited_for_on_the_next() -> None:
    state = connected()
    state.subscribe(A)
    data_to_send(state)
    state.on_disconnected()
    state.on_connected(1.0)
    data_to_send(state)
    assert state.handle_pushes(push("subscribe", ECHO, A)).subscribed == [ECHO, A]


def test_each_connection_has_a_number_of_its_own() -> None:
    state = LinkState(ECHO)
    seen: list[int] = []
    for at in range(3):
        state.on_connected(at)
        seen.append(state.connections)
        state.on_disconnected()
    assert len(set(seen)) == 3
    assert seen == sorted(seen)


# ---- deliveries


def test_deliveries_keep_the_order_of_redis_and_leave_out_the_echo() -> None:
    state = connected(A, B)
    pushes = [
        *push("message", A, payload=b"1"),
        *push("message", ECHO, payload=b"9"),
        *push("message", B, payload=b"2"),
    ]
    pushes += push("message", A, payload=b"3")
    assert state.handle_pushes(pushes).deliveries == [(A, b"1"), (B, b"2"), (A, b"3")]


@pytest.mark.parametrize("kind", ["pmessage", "invalidate", "psubscribe"])
def test_pushes_of_other_kinds_are_ignored(kind: str) -> None:
    state = connected(A)
    events = state.handle_pushes(push(kind, A))
    assert (events.deliveries, events.subscribed) == ([], [])
    assert state.is_subscribed(A)


@pytest.mark.parametrize("unknown", [[b"invalidate", [b"key"]], [b"pmessage", b"a*", A, b"x"], [b"moving", b"", A], []])
def test_an_unknown_push_is_ignored_and_those_around_it_are_not(unknown: list[Any]) -> None:
    state = connected(A)
    pushes = [*push("message", A, payload=b"before"), unknown, *push("message", A, payload=b"behind")]
    assert [payload for _, payload in state.handle_pushes(pushes).deliveries] == [b"before", b"behind"]
