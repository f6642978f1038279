"""What a session with a token may do, and how another token takes the place of the first."""

from dataclasses import replace

import pytest
from tannoy.node.auth.claims import Claims, NamePatterns, Permission
from tannoy.node.protocols.effects import JoinChannel, JoinedChannel
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.shared.channels import Channel
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import Refused
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName, SessionId, UserId
from tannoy.shared.protocol.commands import GetHistory, HistoryQuery, Join, Message
from tannoy.shared.protocol.frames import Author

KEYSPACE = Keyspace("tannoy")
ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
LOBBY, KITCHEN = RoomName("lobby"), RoomName("kitchen")
ROOM, AGENT = KEYSPACE.room(LOBBY), KEYSPACE.agent(AgentId("42"))
CLAIMS = Claims(UserId("ada"), "Ada", 100.0, rooms=NamePatterns.parse(("lobby",)), agents=NamePatterns.parse(("42",)))


def session(claims: Claims, endpoint: Endpoint = Endpoint.ROOMS, home: Channel | None = None) -> Session:
    return Session(endpoint, ADA, home, KEYSPACE, claims=claims)


def test_a_room_that_the_token_lists_may_be_joined_and_another_one_not() -> None:
    made = session(CLAIMS)
    assert made.handle(Join(1, LOBBY)) == JoinChannel(ROOM, 1)
    with pytest.raises(Refused) as refused:
        made.handle(Join(2, KITCHEN))
    assert refused.value.code is ErrorCode.FORBIDDEN


def test_a_command_that_the_token_does_not_allow_is_forbidden_also_where_the_session_is() -> None:
    made = session(replace(CLAIMS, can=frozenset({Permission.PUBLISH})))
    made.add_joined(JoinedChannel(ROOM, 1))
    made.handle(Message(1, LOBBY, "hi", None))
    with pytest.raises(Refused) as refused:
        made.handle(GetHistory(2, LOBBY, HistoryQuery()))
    assert refused.value.code is ErrorCode.FORBIDDEN


def test_after_a_refresh_the_new_token_counts() -> None:
    made = session(CLAIMS)
    made.refresh(replace(CLAIMS, rooms=NamePatterns.parse(("kitchen",)), expires_at=200.0))
    made.handle(Join(1, KITCHEN))
    with pytest.raises(Refused):
        made.handle(Join(2, LOBBY))


@pytest.mark.parametrize(
    ("endpoint", "home", "claims"),
    [
        (Endpoint.ROOMS, None, replace(CLAIMS, user_id=UserId("bob"))),
        (Endpoint.ROOM, ROOM, replace(CLAIMS, rooms=NamePatterns.parse(("kitchen",)))),
        (Endpoint.AGENT, AGENT, replace(CLAIMS, agents=NamePatterns.parse(("43",)))),
    ],
    ids=["of another user", "without its room", "without its agent"],
)
def test_a_token_that_allows_less_than_the_session_uses_is_refused(
    endpoint: Endpoint, home: Channel | None, claims: Claims
) -> None:
    made = session(CLAIMS, endpoint, home)
    with pytest.raises(Refused) as refused:
        made.refresh(claims)
    assert (refused.value.code, made.claims) == (ErrorCode.FORBIDDEN, CLAIMS)


def test_a_token_without_a_joined_room_is_refused() -> None:
    made = session(CLAIMS)
    made.add_joined(JoinedChannel(ROOM, 1))
    with pytest.raises(Refused, match="room lobby"):
        made.refresh(replace(CLAIMS, rooms=NamePatterns.parse(("kitchen",))))
