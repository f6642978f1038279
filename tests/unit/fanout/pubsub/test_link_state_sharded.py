"""LinkState with the sharded pub/sub of a Redis Cluster: one slot a command, and slots that move away."""

from tannoy.fanout.pubsub.link_state import BATCH, SHARDED, LinkState
from tannoy.fanout.redis.connection import Pushes
from tannoy.shared.keyspace import Keyspace, partition_of
from tannoy.shared.names import RoomName

KEYSPACE = Keyspace("tannoy")
ECHO, OTHER_ECHO = KEYSPACE.echo("i1", 1), KEYSPACE.echo("i1", 2)
ROOMS = [KEYSPACE.room(RoomName(f"r{number}")).address for number in range(3000)]
LOBBY = ROOMS[0]


def push(kind: str, *channels: bytes, payload: bytes | int = 1) -> Pushes:
    return [[kind.encode(), channel, payload] for channel in channels]


def connected(*wanted: bytes) -> LinkState:
    """A link that is up, with its subscriptions confirmed."""
    state = LinkState(ECHO, SHARDED)
    for channel in wanted:
        state.want(channel)
    state.opened(0.0)
    state.commands_to_send()
    state.received(push("ssubscribe", ECHO, *wanted))
    return state


def test_one_command_names_channels_of_one_slot() -> None:
    state = connected()
    for room in ROOMS:
        state.want(room)
    commands = state.commands_to_send()
    assert {verb for verb, _ in commands} == {"SSUBSCRIBE"}
    assert all(len({partition_of(channel) for channel in channels}) == 1 for _, channels in commands)
    assert sorted(channel for _, channels in commands for channel in channels) == sorted(ROOMS)
    assert len(commands) <= 64 + len(ROOMS) // BATCH


def test_a_command_is_bounded_too() -> None:
    state = connected()
    crowded = [b"tannoy:{%b}:room:%d" % (LOBBY.partition(b"{")[2].partition(b"}")[0], n) for n in range(BATCH + 1)]
    for room in crowded:
        state.want(room)
    assert sorted(len(channels) for _, channels in state.commands_to_send()) == [1, BATCH]


def test_what_is_said_arrives_and_the_echo_does_not() -> None:
    state = connected(LOBBY)
    nonce = state.tick(0.0)
    assert nonce is not None
    events = state.received([*push("smessage", ECHO, payload=nonce), *push("smessage", LOBBY, payload=b"hi")])
    assert events.deliveries == [(LOBBY, b"hi")]
    assert state.is_live


def test_a_slot_that_moves_away_is_told_and_not_asked_for_again_here() -> None:
    state = connected(LOBBY)
    events = state.received(push("sunsubscribe", LOBBY))
    assert (events.taken, events.left) == ([LOBBY], [])
    assert not state.is_confirmed(LOBBY)
    assert state.commands_to_send() == []


def test_a_slot_that_was_never_here_is_told_when_it_is_asked_for() -> None:
    state = connected()
    state.want(LOBBY)
    state.commands_to_send()
    assert state.moved([LOBBY]).taken == [LOBBY]
    assert not state.holds(LOBBY)


def test_what_is_asked_for_again_may_be_confirmed_again() -> None:
    state = connected(LOBBY)
    state.received(push("sunsubscribe", LOBBY))
    state.want(LOBBY)
    assert state.commands_to_send() == [("SSUBSCRIBE", [LOBBY])]
    assert state.received(push("ssubscribe", LOBBY)).confirmed == [LOBBY]


def test_a_link_is_live_without_what_has_moved_away() -> None:
    state = LinkState(ECHO, SHARDED)
    state.want(LOBBY)
    state.opened(0.0)
    state.commands_to_send()
    state.moved([LOBBY])
    nonce = state.tick(0.0)
    assert nonce is not None
    state.received([*push("ssubscribe", ECHO), *push("smessage", ECHO, payload=nonce)])
    assert state.is_live


def test_until_it_has_let_go_of_a_channel_something_may_still_come() -> None:
    state = connected(LOBBY)
    state.unwant(LOBBY)
    assert state.commands_to_send() == [("SUNSUBSCRIBE", [LOBBY])]
    assert state.holds(LOBBY)
    assert state.received(push("sunsubscribe", LOBBY)).left == [LOBBY]
    assert not state.holds(LOBBY)


def test_of_a_channel_that_was_only_asked_for_something_may_come_too() -> None:
    state = connected()
    state.want(LOBBY)
    state.commands_to_send()
    state.unwant(LOBBY)
    assert state.holds(LOBBY)
    state.commands_to_send()
    assert state.received(push("ssubscribe", LOBBY)).left == []
    assert state.received(push("sunsubscribe", LOBBY)).left == [LOBBY]


def test_a_leave_that_is_refused_because_the_slot_has_moved_is_one_too() -> None:
    state = connected(LOBBY)
    state.unwant(LOBBY)
    state.commands_to_send()
    # What Redis took away, unasked, is the answer; the refusal comes behind it.
    assert state.received(push("sunsubscribe", LOBBY)).left == [LOBBY]
    assert state.moved([LOBBY]).taken == []
    assert (state.holds(LOBBY), state.commands_to_send()) == (False, [])


def test_a_link_may_hear_itself_on_another_channel() -> None:
    state = connected()
    lost = state.tick(0.0)
    state.move_echo(OTHER_ECHO)
    assert state.commands_to_send() == [("SSUBSCRIBE", [OTHER_ECHO]), ("SUNSUBSCRIBE", [ECHO])]
    nonce = state.tick(0.5)
    assert (state.echo, lost, nonce) == (OTHER_ECHO, b"1", b"2")
    assert nonce is not None
    state.received(push("smessage", OTHER_ECHO, payload=nonce))
    assert state.is_live
