"""What a session may do at each endpoint: command in, effect out."""

import pytest
from tannoy.node.protocols.effects import (
    AskToStop,
    Effect,
    JoinChannel,
    JoinedChannel,
    LeaveChannel,
    PongReceived,
    Publish,
    PublishTyping,
    ReadHistory,
    ReadPresence,
    RefreshToken,
    Reply,
    SendToUser,
)
from tannoy.node.protocols.session import ROOMS_MAX, Endpoint, NodeTerms, Session
from tannoy.shared.channels import Channel
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import Refused
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, NodeId, RoomName, SessionId, StreamId, UserId
from tannoy.shared.protocol.commands import (
    Authenticate,
    Command,
    GetHistory,
    GetPresence,
    HistoryQuery,
    Join,
    Leave,
    Message,
    Ping,
    Pong,
    Private,
    Refresh,
    StopStream,
    Typing,
)
from tannoy.shared.protocol.frames import Author, OkFrame, PongFrame
from tannoy.shared.protocol.presence_frames import PresenceSnapshot
from tannoy.shared.publication import NO_HISTORY, Position, StartPosition

KEYSPACE = Keyspace("tannoy")
ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
LOBBY, KITCHEN = RoomName("lobby"), RoomName("kitchen")
ROOM, OTHER_ROOM = KEYSPACE.room(LOBBY), KEYSPACE.room(KITCHEN)
AGENT = KEYSPACE.agent(AgentId("42"))
IN_ROOM = JoinedChannel(ROOM, 1)
RECOVER = Position("e", 1)
PAGE = HistoryQuery(10, before=5, since=1)
TERMS = NodeTerms(NodeId("n1"), 25, 65536)
SNAPSHOT = PresenceSnapshot(17, 51, None)
HOMES: dict[Endpoint, Channel | None] = {Endpoint.ROOMS: None, Endpoint.ROOM: ROOM, Endpoint.AGENT: AGENT}


def session(endpoint: Endpoint, *joined: Channel) -> Session:
    """A session as it is once it is open, in `joined` besides its home."""
    made = Session(endpoint, ADA, HOMES[endpoint], KEYSPACE)
    for channel in (HOMES[endpoint], *joined):
        if channel is not None:
            made.add_joined(JoinedChannel(channel, 1))
    return made


def refusal(made: Session, command: Command) -> ErrorCode:
    with pytest.raises(Refused) as caught:
        made.handle(command)
    return caught.value.code


STREAM = StreamId("answer")

LEGAL: list[tuple[Endpoint, tuple[Channel, ...], Command, Effect]] = [
    (Endpoint.ROOMS, (), Join(1, LOBBY), JoinChannel(ROOM, 1)),
    (Endpoint.ROOMS, (OTHER_ROOM,), Join(None, LOBBY), JoinChannel(ROOM, None)),
    (Endpoint.ROOMS, (ROOM,), Leave(2, LOBBY), LeaveChannel(IN_ROOM, 2)),
    (Endpoint.ROOMS, (ROOM,), Message(3, LOBBY, "hi", "k"), Publish(ROOM, "hi", 3, "k")),
    (Endpoint.ROOMS, (ROOM,), Typing(4, LOBBY), PublishTyping(ROOM, 4)),
    (Endpoint.ROOMS, (), Join(5, LOBBY, RECOVER), JoinChannel(ROOM, 5, recover=RECOVER)),
    (Endpoint.ROOMS, (), Join(5, LOBBY, RECOVER, observe=True), JoinChannel(ROOM, 5, RECOVER, observe=True)),
    (Endpoint.ROOMS, (ROOM,), GetPresence(5, LOBBY), ReadPresence(ROOM, 5)),
    (Endpoint.ROOM, (), GetPresence(5, None), ReadPresence(ROOM, 5)),
    (Endpoint.AGENT, (), GetPresence(5, None), ReadPresence(AGENT, 5)),
    (Endpoint.ROOMS, (ROOM,), GetHistory(5, LOBBY, PAGE), ReadHistory(ROOM, 5, PAGE)),
    (Endpoint.ROOM, (), GetHistory(5, None, PAGE), ReadHistory(ROOM, 5, PAGE)),
    (Endpoint.AGENT, (), GetHistory(5, None, PAGE), ReadHistory(AGENT, 5, PAGE)),
    (Endpoint.ROOMS, (ROOM,), StopStream(5, LOBBY, STREAM), AskToStop(ROOM, STREAM, 5)),
    (Endpoint.ROOM, (), StopStream(5, None, STREAM), AskToStop(ROOM, STREAM, 5)),
    (Endpoint.AGENT, (), StopStream(None, None, STREAM), AskToStop(AGENT, STREAM, None)),
    (Endpoint.ROOM, (), Leave(2, None), LeaveChannel(IN_ROOM, 2)),
    (Endpoint.ROOM, (), Leave(2, LOBBY), LeaveChannel(IN_ROOM, 2)),
    (Endpoint.ROOM, (), Message(3, None, "hi", None), Publish(ROOM, "hi", 3)),
    (Endpoint.ROOM, (), Message(3, LOBBY, "hi", None), Publish(ROOM, "hi", 3)),
    (Endpoint.ROOM, (), Typing(4, None), PublishTyping(ROOM, 4)),
    (Endpoint.AGENT, (), Message(3, None, "hi", None), Publish(AGENT, "hi", 3)),
    *((endpoint, (), Private(5, UserId("bob"), "psst"), SendToUser(UserId("bob"), "psst", 5)) for endpoint in Endpoint),
    *((endpoint, (), Ping(6), Reply(PongFrame(6))) for endpoint in Endpoint),
    *((endpoint, (), Pong(None), PongReceived()) for endpoint in Endpoint),
    *((endpoint, (), Refresh(7, "t"), RefreshToken("t", 7)) for endpoint in Endpoint),
]

ILLEGAL: list[tuple[Endpoint, tuple[Channel, ...], Command, ErrorCode]] = [
    (Endpoint.ROOMS, (), Join(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (ROOM,), Join(1, LOBBY), ErrorCode.ALREADY_JOINED),
    (Endpoint.ROOMS, (), Leave(1, LOBBY), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (ROOM,), Leave(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (OTHER_ROOM,), Message(1, LOBBY, 1, None), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (ROOM,), Message(1, None, 1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (), Typing(1, LOBBY), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (OTHER_ROOM,), GetPresence(1, LOBBY), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (), GetPresence(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), GetPresence(1, LOBBY), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (OTHER_ROOM,), GetHistory(1, LOBBY, PAGE), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (ROOM,), GetHistory(1, None, PAGE), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), GetHistory(1, LOBBY, PAGE), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (OTHER_ROOM,), StopStream(1, LOBBY, STREAM), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (ROOM,), StopStream(1, None, STREAM), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), StopStream(1, LOBBY, STREAM), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOM, (), Join(1, None), ErrorCode.ALREADY_JOINED),
    (Endpoint.ROOM, (), Join(1, LOBBY), ErrorCode.ALREADY_JOINED),
    (Endpoint.ROOM, (), Join(1, KITCHEN), ErrorCode.BAD_REQUEST),
    *(
        (Endpoint.ROOM, (), command, ErrorCode.BAD_REQUEST)
        for command in (
            Leave(1, KITCHEN),
            Message(1, KITCHEN, 1, None),
            Typing(1, KITCHEN),
            GetPresence(1, KITCHEN),
            GetHistory(1, KITCHEN, PAGE),
            StopStream(1, KITCHEN, STREAM),
        )
    ),
    (Endpoint.AGENT, (), Join(1, LOBBY), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Leave(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Typing(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Message(1, LOBBY, 1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Message(1, RoomName("42"), 1, None), ErrorCode.BAD_REQUEST),
    *((endpoint, (), Authenticate(1, "t"), ErrorCode.BAD_REQUEST) for endpoint in Endpoint),
]


@pytest.mark.parametrize(("endpoint", "joined", "command", "effect"), LEGAL, ids=str)
def test_a_legal_command_has_its_effect(
    endpoint: Endpoint, joined: tuple[Channel, ...], command: Command, effect: Effect
) -> None:
    assert session(endpoint, *joined).handle(command) == effect


@pytest.mark.parametrize(("endpoint", "joined", "command", "code"), ILLEGAL, ids=str)
def test_an_illegal_command_is_refused_with_its_code(
    endpoint: Endpoint, joined: tuple[Channel, ...], command: Command, code: ErrorCode
) -> None:
    assert refusal(session(endpoint, *joined), command) is code


@pytest.mark.parametrize("command", [Join(1, LOBBY), Leave(1, None), Typing(1, None)], ids=str)
def test_the_refusal_of_a_command_at_an_endpoint_has_its_type(command: Command) -> None:
    with pytest.raises(Refused, match=f"^{command.type} is not a command of /ws/agents/"):
        session(Endpoint.AGENT).handle(command)


def test_every_command_is_tried_at_every_endpoint() -> None:
    commands = set(Command.__args__)
    tried = {(endpoint, type(command)) for endpoint, _, command, _ in (*LEGAL, *ILLEGAL)}
    assert tried == {(endpoint, command) for endpoint in Endpoint for command in commands}


@pytest.mark.parametrize(
    "command", [Message(1, LOBBY, 1, None), Typing(1, LOBBY), StopStream(1, LOBBY, STREAM)], ids=str
)
def test_a_session_may_publish_nothing_in_a_room_that_it_observes(command: Command) -> None:
    made = session(Endpoint.ROOMS, OTHER_ROOM)
    made.add_joined(JoinedChannel(ROOM, 1, observes=True))
    assert refusal(made, command) is ErrorCode.FORBIDDEN
    assert made.handle(Message(1, KITCHEN, 1, None)) == Publish(OTHER_ROOM, 1, 1)


def test_a_session_may_read_and_leave_a_room_that_it_observes() -> None:
    made = session(Endpoint.ROOMS)
    made.add_joined(JoinedChannel(ROOM, 1, observes=True))
    assert made.handle(GetPresence(1, LOBBY)) == ReadPresence(ROOM, 1)
    assert made.handle(GetHistory(1, LOBBY, PAGE)) == ReadHistory(ROOM, 1, PAGE)
    assert made.handle(Leave(1, LOBBY)) == LeaveChannel(JoinedChannel(ROOM, 1, observes=True), 1)
    assert refusal(made, Join(1, LOBBY)) is ErrorCode.ALREADY_JOINED


def test_a_refused_command_changes_nothing() -> None:
    made = session(Endpoint.ROOMS, ROOM)
    refusal(made, Join(1, LOBBY))
    refusal(made, Leave(1, KITCHEN))
    assert made.joined == {"lobby": IN_ROOM}


def test_room_counts_as_joined_only_after_add_joined() -> None:
    made = session(Endpoint.ROOMS)
    made.handle(Join(1, LOBBY))
    assert refusal(made, Message(2, LOBBY, 1, None)) is ErrorCode.NOT_JOINED


def test_a_room_that_was_left_can_be_joined_again() -> None:
    made = session(Endpoint.ROOM)
    made.remove_joined(IN_ROOM)
    assert refusal(made, Message(1, None, 1, None)) is ErrorCode.NOT_JOINED
    assert made.handle(Join(2, None)) == JoinChannel(ROOM, 2)


def test_a_session_may_be_in_a_bounded_number_of_rooms() -> None:
    made = session(Endpoint.ROOMS)
    for number in range(ROOMS_MAX):
        made.add_joined(JoinedChannel(KEYSPACE.room(RoomName(f"room-{number}")), number))
    assert refusal(made, Join(1, LOBBY)) is ErrorCode.LIMIT_REACHED


def test_content_is_passed_on_untouched() -> None:
    content = {"deep": [{"er": None}]}
    effect = session(Endpoint.ROOM).handle(Message(1, None, content, None))
    assert isinstance(effect, Publish)
    assert effect.content is content


@pytest.mark.parametrize(
    ("endpoint", "home"),
    [(Endpoint.ROOMS, {}), (Endpoint.ROOM, {"room": "lobby"}), (Endpoint.AGENT, {"agent_id": "42"})],
)
def test_welcome_names_the_session_and_its_home(endpoint: Endpoint, home: dict[str, str]) -> None:
    assert session(endpoint).welcome(TERMS, None, NO_HISTORY).as_object() == {
        "type": "welcome",
        "session_id": "s1",
        "user_id": "ada",
        "username": "Ada",
        "node": "n1",
        "ping_interval": 25,
        "message_max_bytes": 65536,
        **home,
    }


def test_ok_of_a_join_has_the_room_and_is_omitted_without_an_id() -> None:
    made = session(Endpoint.ROOMS)
    assert made.join_ok(ROOM, 7, None, NO_HISTORY) == OkFrame(7, {"room": "lobby"})
    assert made.join_ok(ROOM, None, SNAPSHOT, NO_HISTORY) is None


def test_ok_of_a_join_has_the_presence_snapshot() -> None:
    answer = session(Endpoint.ROOMS).join_ok(ROOM, 7, SNAPSHOT, NO_HISTORY)
    assert answer == OkFrame(7, {"room": "lobby", "users_count": 51, "version": 17})


START_POSITIONS: list[tuple[StartPosition, dict[str, object]]] = [
    (NO_HISTORY, {}),
    (StartPosition(None, recovered=False), {"recovered": False}),
    (StartPosition(RECOVER), {"epoch": "e", "offset": 1}),
    (StartPosition(RECOVER, recovered=False), {"epoch": "e", "offset": 1, "recovered": False}),
    (StartPosition(RECOVER, recovered=True), {"epoch": "e", "offset": 1, "recovered": True}),
]


@pytest.mark.parametrize(("start", "fields"), START_POSITIONS)
def test_ok_of_a_join_has_the_start_position(start: StartPosition, fields: dict[str, object]) -> None:
    assert session(Endpoint.ROOMS).join_ok(ROOM, 7, None, start) == OkFrame(7, {"room": "lobby", **fields})


@pytest.mark.parametrize(("start", "fields"), START_POSITIONS)
def test_welcome_has_the_start_position(start: StartPosition, fields: dict[str, object]) -> None:
    whole = session(Endpoint.AGENT).welcome(TERMS, None, start).as_object()
    assert {name: whole[name] for name in ("epoch", "offset", "recovered") if name in whole} == fields


def test_welcome_has_the_presence_snapshot() -> None:
    whole = session(Endpoint.ROOM).welcome(TERMS, SNAPSHOT, NO_HISTORY).as_object()
    assert (whole["users_count"], whole["version"], "users" in whole) == (51, 17, False)
