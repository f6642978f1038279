"""Each frame of a node in all its forms, and the object that docs/protocol.md §4 describes."""

from tannoy.shared.codes import CloseCode, ErrorCode
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, NodeId, RoomName, SessionId, StreamId, UserId
from tannoy.shared.protocol.frames import (
    Author,
    ByeFrame,
    ErrorFrame,
    MessageFrame,
    NodeFrame,
    OkFrame,
    PingFrame,
    PongFrame,
    PrivateFrame,
    Resync,
    StatusFrame,
    TypingFrame,
    WelcomeFrame,
)
from tannoy.shared.protocol.presence_frames import PresenceCount, PresenceSnapshot, PresentUser, UserEvent
from tannoy.shared.protocol.stream_frames import DeltaFrame, StreamEndFrame, StreamFrame
from tannoy.shared.publication import Position, StartPosition
from tannoy.shared.streams import StreamStatus

ROOM = Keyspace("tannoy").room(RoomName("lobby"))
AGENT = Keyspace("tannoy").agent(AgentId("42"))
ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
NO_AUTHOR = Author(None, None, None)
AT = "2026-11-21T08:15:30.123Z"

WELCOME: dict[str, object] = {
    "type": "welcome",
    "session_id": "s1",
    "user_id": "ada",
    "username": "Ada",
    "node": "n1",
    "ping_interval": 25,
    "message_max_bytes": 65536,
}
ADA_SAYS: dict[str, object] = {
    "user_id": "ada",
    "username": "Ada",
    "session_id": "s1",
    "content": {"a": 1},
    "timestamp": AT,
}

LOBBY = RoomName("lobby")
ADA_CHANGES: dict[str, object] = {"user_id": "ada", "username": "Ada", "users_count": 1, "version": 17}
PRESENT = PresentUser(UserId("ada"), "Ada", 1_795_249_330_123, 2)
PRESENT_OBJECT = {"user_id": "ada", "username": "Ada", "connected_at": "2026-11-21T08:22:10.123Z", "sessions": 2}

FRAMES: list[tuple[NodeFrame, dict[str, object]]] = [
    (WelcomeFrame(SessionId("s1"), UserId("ada"), "Ada", NodeId("n1"), 25, 65536, None), WELCOME),
    (WelcomeFrame(SessionId("s1"), UserId("ada"), "Ada", NodeId("n1"), 25, 65536, ROOM), {**WELCOME, "room": "lobby"}),
    (
        WelcomeFrame(SessionId("s1"), UserId("ada"), "Ada", NodeId("n1"), 25, 65536, AGENT),
        {**WELCOME, "agent_id": "42"},
    ),
    (
        WelcomeFrame(
            *(SessionId("s1"), UserId("ada"), "Ada", NodeId("n1"), 25, 65536, ROOM),
            PresenceSnapshot(17, 1, (PRESENT,)),
            StartPosition(Position("e1", 7), recovered=True),
            expires_at=1_795_249_330.123,
        ),
        {
            **WELCOME,
            "room": "lobby",
            "users_count": 1,
            "version": 17,
            "users": [PRESENT_OBJECT],
            "expires_at": "2026-11-21T08:22:10.123Z",
            "epoch": "e1",
            "offset": 7,
            "recovered": True,
        },
    ),
    (StatusFrame("down"), {"type": "status", "bus": "down"}),
    (OkFrame("c1", {}), {"type": "ok", "id": "c1"}),
    (OkFrame(0, {"room": "lobby"}), {"type": "ok", "id": 0, "room": "lobby"}),
    (ErrorFrame(7, ErrorCode.BAD_NAME, "no"), {"type": "error", "id": 7, "code": "bad_name", "message": "no"}),
    (ErrorFrame("", ErrorCode.INTERNAL, "no"), {"type": "error", "id": "", "code": "internal", "message": "no"}),
    (ErrorFrame(None, ErrorCode.INTERNAL, "no"), {"type": "error", "code": "internal", "message": "no"}),
    (
        ErrorFrame(None, ErrorCode.UNAVAILABLE, "wait", 0.0),
        {"type": "error", "code": "unavailable", "message": "wait", "retry_after": 0.0},
    ),
    (MessageFrame(ROOM, ADA, {"a": 1}, AT), {"type": "message", "room": "lobby", **ADA_SAYS}),
    (MessageFrame(AGENT, ADA, {"a": 1}, AT), {"type": "message", "agent_id": "42", **ADA_SAYS}),
    (
        MessageFrame(ROOM, NO_AUTHOR, None, AT),
        {
            "type": "message",
            "room": "lobby",
            "user_id": None,
            "username": None,
            "session_id": None,
            "content": None,
            "timestamp": AT,
        },
    ),
    (
        PrivateFrame(ADA, [1], AT),
        {"type": "private", "from_user_id": "ada", "from_username": "Ada", "content": [1], "timestamp": AT},
    ),
    (
        TypingFrame(RoomName("lobby"), UserId("ada"), "Ada"),
        {"type": "typing", "room": "lobby", "user_id": "ada", "username": "Ada"},
    ),
    (
        UserEvent("user_joined", LOBBY, UserId("ada"), "Ada", 1, 17, (PRESENT,)),
        {"type": "user_joined", "room": "lobby", **ADA_CHANGES, "users": [PRESENT_OBJECT]},
    ),
    (
        UserEvent("user_joined", LOBBY, UserId("ada"), "Ada", 1, 17),
        {"type": "user_joined", "room": "lobby", **ADA_CHANGES},
    ),
    (
        UserEvent("user_left", LOBBY, UserId("ada"), "Ada", 1, 17, ()),
        {"type": "user_left", "room": "lobby", **ADA_CHANGES, "users": []},
    ),
    (UserEvent("user_left", LOBBY, UserId("ada"), "Ada", 1, 17), {"type": "user_left", "room": "lobby", **ADA_CHANGES}),
    (PresenceCount(LOBBY, 2000, 17), {"type": "presence", "room": "lobby", "users_count": 2000, "version": 17}),
    (
        Resync(ROOM, "why", Position("e1", 7)),
        {"type": "resync", "room": "lobby", "epoch": "e1", "offset": 7, "reason": "why"},
    ),
    (Resync(AGENT, "why"), {"type": "resync", "agent_id": "42", "epoch": None, "offset": None, "reason": "why"}),
    (
        StreamFrame(ROOM, StreamId("s"), UserId("bot"), "Bot", AT, 3, meta=[1], text="abc"),
        {
            "type": "stream",
            "room": "lobby",
            "stream_id": "s",
            "user_id": "bot",
            "username": "Bot",
            "timestamp": AT,
            "from": 0,
            "to": 3,
            "meta": [1],
            "text": "abc",
        },
    ),
    (
        StreamFrame(AGENT, StreamId("s"), None, None, AT, 0),
        {
            "type": "stream",
            "agent_id": "42",
            "stream_id": "s",
            "user_id": None,
            "username": None,
            "timestamp": AT,
            "from": 0,
            "to": 0,
        },
    ),
    (
        DeltaFrame(AGENT, StreamId("s"), 3, 5, "é"),
        {"type": "delta", "agent_id": "42", "stream_id": "s", "from": 3, "to": 5, "text": "é"},
    ),
    (
        StreamEndFrame(ROOM, StreamId("s"), 5, StreamStatus.DONE, 7),
        {"type": "stream_end", "room": "lobby", "stream_id": "s", "to": 5, "status": "done", "offset": 7},
    ),
    (
        StreamEndFrame(ROOM, StreamId("s"), 5, StreamStatus.LOST),
        {"type": "stream_end", "room": "lobby", "stream_id": "s", "to": 5, "status": "lost"},
    ),
    (
        DeltaFrame(ROOM, StreamId("s"), 0, 1, "a"),
        {"type": "delta", "room": "lobby", "stream_id": "s", "from": 0, "to": 1, "text": "a"},
    ),
    (
        StreamEndFrame(AGENT, StreamId("s"), 5, StreamStatus.FAILED),
        {"type": "stream_end", "agent_id": "42", "stream_id": "s", "to": 5, "status": "failed"},
    ),
    (PingFrame(), {"type": "ping"}),
    (PongFrame(None), {"type": "pong"}),
    (PongFrame("p"), {"type": "pong", "id": "p"}),
    (
        ByeFrame(CloseCode.EVICTED),
        {"type": "bye", "code": 4500, "reason": "evicted: a newer session took the place", "reconnect": False},
    ),
    (
        ByeFrame(CloseCode.DRAINING, 0),
        {"type": "bye", "code": 4001, "reason": "node is draining", "reconnect": True, "retry_after": 0},
    ),
]
