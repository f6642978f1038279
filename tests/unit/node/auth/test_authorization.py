"""Which channels and commands the claims of a token allow."""

from dataclasses import replace

import pytest
from tannoy.node.auth.authorization import check_channel, check_command
from tannoy.node.auth.claims import DEFAULT_PERMISSIONS, Claims, NamePatterns, Permission
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import Refused
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName, UserId
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
    Typing,
)
from tannoy.shared.publication import Position

KEYSPACE = Keyspace("tannoy")
CLAIMS = Claims(UserId("ada"), "Ada", 0.0)
LOBBY = RoomName("lobby")
NEEDED: list[tuple[Command, Permission]] = [
    (Message(1, LOBBY, "hi", None), Permission.PUBLISH),
    (Typing(1, LOBBY), Permission.PUBLISH),
    (Private(1, UserId("bob"), "hi"), Permission.PRIVATE),
    (GetPresence(1, LOBBY), Permission.PRESENCE),
    (GetHistory(1, LOBBY, HistoryQuery()), Permission.HISTORY),
    (Join(1, LOBBY, Position("e", 1)), Permission.HISTORY),
    (Join(1, LOBBY, observe=True), Permission.OBSERVE),
]
FREE: list[Command] = [
    *(Join(1, LOBBY), Leave(1, LOBBY), Ping(1), Pong(1)),
    *(Authenticate(1, "t"), Refresh(1, "t")),
]


def code_of(claims: Claims, command: Command) -> ErrorCode | None:
    """The code of the refusal; None: the command is allowed."""
    try:
        check_command(claims, command)
    except Refused as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize(("command", "permission"), NEEDED, ids=str)
def test_a_command_is_allowed_by_its_permission_alone(command: Command, permission: Permission) -> None:
    only, all_others = frozenset({permission}), frozenset(Permission) - {permission}
    assert code_of(replace(CLAIMS, can=only), command) is None
    assert code_of(replace(CLAIMS, can=all_others), command) is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("command", FREE, ids=str)
def test_a_command_that_needs_no_permission_is_always_allowed(command: Command) -> None:
    assert code_of(replace(CLAIMS, can=frozenset()), command) is None


def test_by_default_all_is_allowed_but_to_observe() -> None:
    refused = {permission for command, permission in NEEDED if code_of(CLAIMS, command) is not None}
    assert refused == {Permission.OBSERVE} == frozenset(Permission) - DEFAULT_PERMISSIONS


@pytest.mark.parametrize(
    ("patterns", "name", "is_allowed"),
    [
        ((), "lobby", False),
        (("lobby",), "lobby", True),
        (("lobby",), "lobby2", False),
        (("lobby",), "Lobby", False),
        (("team.*",), "team.a", True),
        (("team.*",), "team.", True),
        (("team.*",), "team", False),
        (("*",), "lobby", True),
    ],
)
def test_a_channel_is_allowed_by_its_name_or_its_beginning(
    patterns: tuple[str, ...], name: str, is_allowed: bool
) -> None:
    allowed, none, all_names = NamePatterns.parse(patterns), NamePatterns.parse(()), NamePatterns.parse(("*",))
    for claims, channel in (
        (replace(CLAIMS, rooms=allowed, agents=all_names), KEYSPACE.room(RoomName(name))),
        (replace(CLAIMS, agents=allowed, rooms=all_names), KEYSPACE.agent(AgentId(name))),
        (replace(CLAIMS, rooms=allowed, agents=none), KEYSPACE.room(RoomName(name))),
    ):
        if is_allowed:
            check_channel(claims, channel)
        else:
            with pytest.raises(Refused) as refused:
                check_channel(claims, channel)
            assert refused.value.code is ErrorCode.FORBIDDEN


def test_by_default_all_rooms_are_allowed_and_no_agent() -> None:
    check_channel(CLAIMS, KEYSPACE.room(LOBBY))
    with pytest.raises(Refused, match="does not allow agent 42: its claim 'agents'"):
        check_channel(CLAIMS, KEYSPACE.agent(AgentId("42")))
