"""LinkState with the sharded pub/sub of a Redis Cluster: one slot per command, and slots that move away."""

from tannoy.fanout.pubsub.link_state import LinkState
from tannoy.fanout.pubsub.verbs import CHANNELS_PER_COMMAND, SHARDED
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.partitions import partition_of

from tests.support.link_states import push

KEYSPACE = Keyspace("tannoy")
ECHO, OTHER_ECHO = KEYSPACE.echo("i1", 1), KEYSPACE.echo("i1", 2)
ROOMS = [KEYSPACE.room(RoomName(f"r{number}")).address for number in range(3000)]
LOBBY = ROOMS[0]


def connected(*wanted: bytes) -> LinkState:
    """A connected link whose channels are subscribed."""
    state = LinkState(ECHO, SHARDED)
    for channel in wanted:
        state.subscribe(channel)
    state.on_connected(0.0)
    state.commands_to_send()
    state.handle_pushes(push("ssubscribe", ECHO, *wanted))
    return state


def test_each_command_names_channels_of_one_slot() -> None:
    state = connected()
    for room in ROOMS:
        state.subscribe(room)
    commands = state.commands_to_send()
    assert {verb for verb, _ in commands} == {"SSUBSCRIBE"}
    assert all(len({partition_of(channel) for channel in channels}) == 1 for _, channels in commands)
    assert sorted(channel for _, channels in commands for channel in channels) == sorted(ROOMS)
    assert len(commands) <= 64 + len(ROOMS) // CHANNELS_PER_COMMAND


def test_a_command_names_no_more_channels_of_a_slot_than_the_bound() -> None:
    state = connected()
    tag = LOBBY.partition(b"{")[2].partition(b"}")[0]
    crowded = [b"tannoy:{%b}:room:%d" % (tag, number) for number in range(CHANNELS_PER_COMMAND + 1)]
    for room in crowded:
        state.subscribe(room)
    assert sorted(len(channels) for _, channels in state.commands_to_send()) == [1, CHANNELS_PER_COMMAND]


def test_messages_are_delivered_and_the_echo_is_not() -> None:
    state = connected(LOBBY)
    nonce = state.tick(0.0)
    assert nonce is not None
    events = state.handle_pushes([*push("smessage", ECHO, payload=nonce), *push("smessage", LOBBY, payload=b"hi")])
    assert events.deliveries == [(LOBBY, b"hi")]
    assert state.is_live


def test_a_channel_whose_slot_moves_is_revoked_and_not_subscribed_again_here() -> None:
    state = connected(LOBBY)
    events = state.handle_pushes(push("sunsubscribe", LOBBY))
    assert (events.revoked, events.unsubscribed) == ([LOBBY], [])
    assert not state.is_subscribed(LOBBY)
    assert state.commands_to_send() == []


def test_a_channel_whose_slot_was_never_here_is_revoked_when_it_is_refused() -> None:
    state = connected()
    state.subscribe(LOBBY)
    state.commands_to_send()
    assert state.handle_redirection([LOBBY]).revoked == [LOBBY]
    assert not state.may_deliver(LOBBY)


def test_a_revoked_channel_can_be_subscribed_again() -> None:
    state = connected(LOBBY)
    state.handle_pushes(push("sunsubscribe", LOBBY))
    state.subscribe(LOBBY)
    assert state.commands_to_send() == [("SSUBSCRIBE", [LOBBY])]
    assert state.handle_pushes(push("ssubscribe", LOBBY)).subscribed == [LOBBY]


def test_a_link_is_live_without_the_channels_that_were_revoked() -> None:
    state = LinkState(ECHO, SHARDED)
    state.subscribe(LOBBY)
    state.on_connected(0.0)
    state.commands_to_send()
    state.handle_redirection([LOBBY])
    nonce = state.tick(0.0)
    assert nonce is not None
    state.handle_pushes([*push("ssubscribe", ECHO), *push("smessage", ECHO, payload=nonce)])
    assert state.is_live


def test_a_channel_may_deliver_until_it_is_unsubscribed() -> None:
    state = connected(LOBBY)
    state.unsubscribe(LOBBY)
    assert state.commands_to_send() == [("SUNSUBSCRIBE", [LOBBY])]
    assert state.may_deliver(LOBBY)
    assert state.handle_pushes(push("sunsubscribe", LOBBY)).unsubscribed == [LOBBY]
    assert not state.may_deliver(LOBBY)


def test_a_channel_may_deliver_before_its_subscription_is_acknowledged() -> None:
    state = connected()
    state.subscribe(LOBBY)
    state.commands_to_send()
    state.unsubscribe(LOBBY)
    assert state.may_deliver(LOBBY)
    state.commands_to_send()
    assert state.handle_pushes(push("ssubscribe", LOBBY)).unsubscribed == []
    assert state.handle_pushes(push("sunsubscribe", LOBBY)).unsubscribed == [LOBBY]


def test_an_unsubscribe_refused_because_the_slot_has_moved_counts_as_done() -> None:
    state = connected(LOBBY)
    state.unsubscribe(LOBBY)
    state.commands_to_send()
    # What Redis took away, unasked, is the answer; the refusal comes behind it.
    assert state.handle_pushes(push("sunsubscribe", LOBBY)).unsubscribed == [LOBBY]
    assert state.handle_redirection([LOBBY]).revoked == []
    assert (state.may_deliver(LOBBY), state.commands_to_send()) == (False, [])


def test_the_echo_may_move_to_another_channel() -> None:
    state = connected()
    lost = state.tick(0.0)
    state.move_echo(OTHER_ECHO)
    assert state.commands_to_send() == [("SSUBSCRIBE", [OTHER_ECHO]), ("SUNSUBSCRIBE", [ECHO])]
    nonce = state.tick(0.5)
    assert (state.echo, lost, nonce) == (OTHER_ECHO, b"1", b"2")
    assert nonce is not None
    state.handle_pushes(push("smessage", OTHER_ECHO, payload=nonce))
    assert state.is_live
