"""Error codes and close codes, each with the client's duty: the tables of `docs/protocol.md §4 and §5`."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ErrorCode(StrEnum):
    """The `code` of an `error` frame or a problem document. An error does not end the session by itself."""

    BAD_REQUEST = "bad_request"
    BAD_NAME = "bad_name"
    BAD_TOKEN = "bad_token"
    TOKEN_EXPIRED = "token_expired"
    FORBIDDEN = "forbidden"
    NOT_JOINED = "not_joined"
    ALREADY_JOINED = "already_joined"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    LIMIT_REACHED = "limit_reached"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


HTTP_STATUS: dict[ErrorCode, int] = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.BAD_NAME: 400,
    ErrorCode.BAD_TOKEN: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_JOINED: 409,
    ErrorCode.ALREADY_JOINED: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.LIMIT_REACHED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL: 500,
}
"""The status of a problem document with this code."""


class CloseCode(IntEnum):
    """Why a connection is closed. 4000-4499: the client should reconnect. 4500-4999: it should not."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_DATA = 1007
    TOO_LARGE = 1009
    INTERNAL = 1011
    TRY_AGAIN_LATER = 1013
    DRAINING = 4001
    TOO_SLOW = 4002
    NO_PONG = 4003
    LEASE_LOST = 4004
    TOKEN_EXPIRED = 4401
    EVICTED = 4500
    BAD_TOKEN = 4501
    FORBIDDEN = 4503
    DISCONNECTED = 4504
    BAD_FRAMES = 4505
    REPLACED = 4506


@dataclass(frozen=True, slots=True)
class CloseRule:
    """The reason in `bye` and in the close frame, and whether the client should reconnect."""

    reason: str
    reconnect: bool


class DisconnectRule(StrEnum):
    """The `rule` of an entry of `disconnects`: why a session was refused or closed, mostly the setting that decided."""

    AGENT_MAX_SESSIONS = "agent_max_sessions"
    USER_MAX_SESSIONS = "user_max_sessions"
    SAME_SESSION = "same_session"
    LEASE = "lease"
    OUTBOX_MAX_BYTES = "outbox_max_bytes"
    OPERATOR = "operator"
    REVOCATION = "revocation"
    RATE_LIMITED = "rate_limited"
    BUS = "bus"


CLOSE_RULES: dict[CloseCode, CloseRule] = {
    CloseCode.NORMAL: CloseRule("normal", False),
    CloseCode.GOING_AWAY: CloseRule("page left", False),
    CloseCode.PROTOCOL_ERROR: CloseRule("protocol error", False),
    CloseCode.INVALID_DATA: CloseRule("invalid UTF-8 in a text frame", False),
    CloseCode.TOO_LARGE: CloseRule("message too large", True),
    CloseCode.INTERNAL: CloseRule("internal error", True),
    CloseCode.TRY_AGAIN_LATER: CloseRule(
        "connection limit or rate reached, node overloaded, or Redis not available", True
    ),
    CloseCode.DRAINING: CloseRule("node is draining", True),
    CloseCode.TOO_SLOW: CloseRule("too slow to read", True),
    CloseCode.NO_PONG: CloseRule("no pong", True),
    CloseCode.LEASE_LOST: CloseRule("session state lost", True),
    CloseCode.TOKEN_EXPIRED: CloseRule("token expired", True),
    CloseCode.EVICTED: CloseRule("evicted: a newer session took the place", False),
    CloseCode.BAD_TOKEN: CloseRule("bad token", False),
    CloseCode.FORBIDDEN: CloseRule("forbidden", False),
    CloseCode.DISCONNECTED: CloseRule("disconnected by an operator", False),
    CloseCode.BAD_FRAMES: CloseRule("too many bad frames", False),
    CloseCode.REPLACED: CloseRule("replaced: the same session connected again", False),
}
