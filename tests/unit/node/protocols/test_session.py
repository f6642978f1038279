"""What a session may do at each endpoint: command in, effect out."""

import pytest
from tannoy.node.protocols.session import (
    ROOMS_MAX,
    Alive,
    Answer,
    Effect,
    Endpoint,
    Enter,
    Exit,
    Publish,
    Session,
    Stay,
    TellHistory,
    TellPresence,
    TellUser,
)
from tannoy.shared.channels import Channel, Channels
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import Refused
from tannoy.shared.names import AgentId, NodeId, RoomName, SessionId, UserId
from tannoy.shared.protocol.commands import (
    Command,
    Join,
    Later,
    Leave,
    Message,
    Page,
    Ping,
    Pong,
    Private,
    ShowHistory,
    ShowPresence,
    Typing,
)
from tannoy.shared.protocol.frames import Author, IsTyping, Ok, PongFrame, Roll, Said, SaidPrivately
from tannoy.shared.publication import NO_HISTORY, Arrival, Position

CHANNELS = Channels("tannoy")
ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
AT = "2026-11-21T08:15:30.123Z"
LOBBY, KITCHEN = RoomName("lobby"), RoomName("kitchen")
ROOM, OTHER_ROOM = CHANNELS.room(LOBBY), CHANNELS.room(KITCHEN)
AGENT = CHANNELS.agent(AgentId("42"))
IN_ROOM = Stay(ROOM, 1)
RECOVER = Position("e", 1)
PAGE = Page(10, before=5, since=1)
ROLL = Roll(17, 51, None)
HOMES: dict[Endpoint, Channel | None] = {Endpoint.ROOMS: None, Endpoint.ROOM: ROOM, Endpoint.AGENT: AGENT}


def session(endpoint: Endpoint, *joined: Channel) -> Session:
    """A session as it is once it is open, in `joined` besides its home."""
    made = Session(endpoint, ADA, HOMES[endpoint], CHANNELS)
    for channel in (HOMES[endpoint], *joined):
        if channel is not None:
            made.entered(Stay(channel, 1))
    return made


def refusal(made: Session, command: Command) -> ErrorCode:
    with pytest.raises(Refused) as caught:
        made.handle(command, AT)
    return caught.value.code


def said(channel: Channel) -> Said:
    return Said(channel, ADA, "hi", AT)


TYPES_LOBBY = IsTyping(LOBBY, UserId("ada"), "Ada")

LEGAL: list[tuple[Endpoint, tuple[Channel, ...], Command, Effect]] = [
    (Endpoint.ROOMS, (), Join(1, LOBBY), Enter(ROOM, 1)),
    (Endpoint.ROOMS, (OTHER_ROOM,), Join(None, LOBBY), Enter(ROOM, None)),
    (Endpoint.ROOMS, (ROOM,), Leave(2, LOBBY), Exit(IN_ROOM, 2)),
    (Endpoint.ROOMS, (ROOM,), Message(3, LOBBY, "hi", "k"), Publish(ROOM, said(ROOM), 3, "k")),
    (Endpoint.ROOMS, (ROOM,), Typing(4, LOBBY), Publish(ROOM, TYPES_LOBBY, 4, exclude=SessionId("s1"))),
    (Endpoint.ROOMS, (), Join(5, LOBBY, RECOVER), Enter(ROOM, 5, recover=RECOVER)),
    (Endpoint.ROOMS, (ROOM,), ShowPresence(5, LOBBY), TellPresence(ROOM, 5)),
    (Endpoint.ROOM, (), ShowPresence(5, None), TellPresence(ROOM, 5)),
    (Endpoint.AGENT, (), ShowPresence(5, None), TellPresence(AGENT, 5)),
    (Endpoint.ROOMS, (ROOM,), ShowHistory(5, LOBBY, PAGE), TellHistory(ROOM, 5, PAGE)),
    (Endpoint.ROOM, (), ShowHistory(5, None, PAGE), TellHistory(ROOM, 5, PAGE)),
    (Endpoint.AGENT, (), ShowHistory(5, None, PAGE), TellHistory(AGENT, 5, PAGE)),
    (Endpoint.ROOM, (), Leave(2, None), Exit(IN_ROOM, 2)),
    (Endpoint.ROOM, (), Leave(2, LOBBY), Exit(IN_ROOM, 2)),
    (Endpoint.ROOM, (), Message(3, None, "hi", None), Publish(ROOM, said(ROOM), 3)),
    (Endpoint.ROOM, (), Message(3, LOBBY, "hi", None), Publish(ROOM, said(ROOM), 3)),
    (Endpoint.ROOM, (), Typing(4, None), Publish(ROOM, TYPES_LOBBY, 4, exclude=SessionId("s1"))),
    (Endpoint.AGENT, (), Message(3, None, "hi", None), Publish(AGENT, said(AGENT), 3)),
    *(
        (endpoint, (), Private(5, UserId("bob"), "psst"), TellUser(UserId("bob"), SaidPrivately(ADA, "psst", AT), 5))
        for endpoint in Endpoint
    ),
    *((endpoint, (), Ping(6), Answer(PongFrame(6))) for endpoint in Endpoint),
    *((endpoint, (), Pong(None), Alive()) for endpoint in Endpoint),
]

ILLEGAL: list[tuple[Endpoint, tuple[Channel, ...], Command, ErrorCode]] = [
    (Endpoint.ROOMS, (), Join(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (ROOM,), Join(1, LOBBY), ErrorCode.ALREADY_JOINED),
    (Endpoint.ROOMS, (), Leave(1, LOBBY), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (ROOM,), Leave(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (OTHER_ROOM,), Message(1, LOBBY, 1, None), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (ROOM,), Message(1, None, 1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (), Typing(1, LOBBY), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (OTHER_ROOM,), ShowPresence(1, LOBBY), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (), ShowPresence(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), ShowPresence(1, LOBBY), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOMS, (OTHER_ROOM,), ShowHistory(1, LOBBY, PAGE), ErrorCode.NOT_JOINED),
    (Endpoint.ROOMS, (ROOM,), ShowHistory(1, None, PAGE), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), ShowHistory(1, LOBBY, PAGE), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOM, (), Join(1, None), ErrorCode.ALREADY_JOINED),
    (Endpoint.ROOM, (), Join(1, LOBBY), ErrorCode.ALREADY_JOINED),
    (Endpoint.ROOM, (), Join(1, KITCHEN), ErrorCode.BAD_REQUEST),
    (Endpoint.ROOM, (), Leave(1, KITCHEN), ErrorCode.NOT_JOINED),
    (Endpoint.ROOM, (), Message(1, KITCHEN, 1, None), ErrorCode.NOT_JOINED),
    (Endpoint.AGENT, (), Join(1, LOBBY), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Leave(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Typing(1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Message(1, LOBBY, 1, None), ErrorCode.BAD_REQUEST),
    (Endpoint.AGENT, (), Message(1, RoomName("42"), 1, None), ErrorCode.BAD_REQUEST),
    *((endpoint, (), Later(1, "auth"), ErrorCode.BAD_REQUEST) for endpoint in Endpoint),
]


@pytest.mark.parametrize(("endpoint", "joined", "command", "effect"), LEGAL, ids=str)
def test_a_legal_command_has_its_effect(
    endpoint: Endpoint, joined: tuple[Channel, ...], command: Command, effect: Effect
) -> None:
    assert session(endpoint, *joined).handle(command, AT) == effect


@pytest.mark.parametrize(("endpoint", "joined", "command", "code"), ILLEGAL, ids=str)
def test_an_illegal_command_is_refused_with_its_code(
    endpoint: Endpoint, joined: tuple[Channel, ...], command: Command, code: ErrorCode
) -> None:
    assert refusal(session(endpoint, *joined), command) is code


def test_every_command_is_tried_at_every_endpoint() -> None:
    commands = set(Command.__args__)
    tried = {(endpoint, type(command)) for endpoint, _, command, _ in (*LEGAL, *ILLEGAL)}
    assert tried == {(endpoint, command) for endpoint in Endpoint for command in commands}


def test_a_refused_command_changes_nothing() -> None:
    made = session(Endpoint.ROOMS, ROOM)
    refusal(made, Join(1, LOBBY))
    refusal(made, Leave(1, KITCHEN))
    assert made.joined == {"lobby": IN_ROOM}


def test_entering_is_asked_for_and_counts_only_once_it_has_happened() -> None:
    made = session(Endpoint.ROOMS)
    made.handle(Join(1, LOBBY), AT)
    assert refusal(made, Message(2, LOBBY, 1, None)) is ErrorCode.NOT_JOINED


def test_a_room_that_was_left_can_be_joined_again() -> None:
    made = session(Endpoint.ROOM)
    made.exited(IN_ROOM)
    assert refusal(made, Message(1, None, 1, None)) is ErrorCode.NOT_JOINED
    assert made.handle(Join(2, None), AT) == Enter(ROOM, 2)


def test_a_session_may_be_in_a_bounded_number_of_rooms() -> None:
    made = session(Endpoint.ROOMS)
    for number in range(ROOMS_MAX):
        made.entered(Stay(CHANNELS.room(RoomName(f"room-{number}")), number))
    assert refusal(made, Join(1, LOBBY)) is ErrorCode.LIMIT_REACHED


def test_content_is_passed_on_untouched() -> None:
    content = {"deep": [{"er": None}]}
    effect = session(Endpoint.ROOM).handle(Message(1, None, content, None), AT)
    assert isinstance(effect, Publish)
    assert isinstance(effect.frame, Said)
    assert effect.frame.content is content


@pytest.mark.parametrize(
    ("endpoint", "home"),
    [(Endpoint.ROOMS, {}), (Endpoint.ROOM, {"room": "lobby"}), (Endpoint.AGENT, {"agent_id": "42"})],
)
def test_welcome_names_the_session_and_its_home(endpoint: Endpoint, home: dict[str, str]) -> None:
    assert session(endpoint).welcome(NodeId("n1"), 25, None, NO_HISTORY).as_object() == {
        "type": "welcome",
        "session_id": "s1",
        "user_id": "ada",
        "username": "Ada",
        "node": "n1",
        "ping_interval": 25,
        **home,
    }


def test_ok_names_the_room_where_an_answer_is_wanted() -> None:
    made = session(Endpoint.ROOMS)
    assert made.in_room(ROOM, 7, None, NO_HISTORY) == Ok(7, {"room": "lobby"})
    assert made.in_room(ROOM, None, ROLL, NO_HISTORY) is None


def test_ok_of_a_join_tells_who_is_in_the_room() -> None:
    answer = session(Endpoint.ROOMS).in_room(ROOM, 7, ROLL, NO_HISTORY)
    assert answer == Ok(7, {"room": "lobby", "users_count": 51, "version": 17})


ARRIVALS: list[tuple[Arrival, dict[str, object]]] = [
    (NO_HISTORY, {}),
    (Arrival(None, recovered=False), {"recovered": False}),
    (Arrival(RECOVER), {"epoch": "e", "offset": 1}),
    (Arrival(RECOVER, recovered=False), {"epoch": "e", "offset": 1, "recovered": False}),
    (Arrival(RECOVER, recovered=True), {"epoch": "e", "offset": 1, "recovered": True}),
]


@pytest.mark.parametrize(("arrival", "told"), ARRIVALS)
def test_ok_of_a_join_tells_where_the_session_begins(arrival: Arrival, told: dict[str, object]) -> None:
    assert session(Endpoint.ROOMS).in_room(ROOM, 7, None, arrival) == Ok(7, {"room": "lobby", **told})


@pytest.mark.parametrize(("arrival", "told"), ARRIVALS)
def test_welcome_tells_where_the_session_begins(arrival: Arrival, told: dict[str, object]) -> None:
    whole = session(Endpoint.AGENT).welcome(NodeId("n1"), 25, None, arrival).as_object()
    assert {name: whole[name] for name in ("epoch", "offset", "recovered") if name in whole} == told


def test_welcome_tells_who_is_in_the_room() -> None:
    whole = session(Endpoint.ROOM).welcome(NodeId("n1"), 25, ROLL, NO_HISTORY).as_object()
    assert (whole["users_count"], whole["version"], "users" in whole) == (51, 17, False)
