"""The exception tree. Every exception that Tannoy defines is a TannoyError.

TannoyError
├── Refused                 answered with an error code: an `error` frame, or a problem document over HTTP
│   ├── BadRequest          the request is malformed: it has to be changed
│   ├── BadName             a name outside the alphabet of docs/protocol.md §1
│   ├── LimitReached        the agent or user has as many sessions as it may have
│   ├── Unavailable         the bus did not confirm in time: repeat later
│   ├── StreamRefused       it does not fit how a stream stands (`fanout/streams/errors.py`)
│   ├── TargetFailed        the target of the HTTP hooks did not answer (`fanout/webhooks/target.py`)
│   └── Forbidden, NotAuthenticated, HookFailed
│                           a hook of an application refuses, or has failed (`node/hooks/errors.py`)
├── ProtocolViolation       the peer broke RFC 6455, or sends without end: the connection is closed with this close code
├── MalformedBytes          bytes on the bus that no node of this version has written
├── StartError              the node cannot start; the message is a sentence for the operator
├── MissingExtra            an extra of the package is not installed (`extras.py`)
├── BadCommand              a client's frame that is not a command (`protocol/command_parser.py`)
├── KeysUnreadable          the keys of tokens can't be read (`node/auth/jwks_reader.py`)
├── ClientError             a request of the client failed (`client/errors.py`)
├── PublishError            what a publisher of the SDK raises (`sdk/errors.py`)
├── TooManyPipelined, HeadRejected
│                           stop the parser of an HTTP connection (`node/server/http_protocol.py`)
├── DatabaseFailed, RowsRefused
│                           what a transaction of the archive can fail with (`fanout/archive`)
├── AddressRefused, EventsRefused
│                           why the HTTP hooks send or repeat no request (`fanout/webhooks`)
├── CircuitOpen             work that was refused without a try (`fanout/external/breaker.py`)
└── ConnectionLost, CannotConnect, RedisError, NoMaster, NoCluster
                            what a connection to Redis can fail with (`fanout/redis`, `fanout/cluster`)
"""

from collections.abc import Mapping

from .codes import ErrorCode


class TannoyError(Exception):
    """Base of all exceptions that Tannoy defines."""


class Refused(TannoyError):
    """A request that is answered with an error code (docs/protocol.md §4).

    `retry_after` is in seconds; None if repeating the same request is pointless.
    """

    code: ErrorCode = ErrorCode.INTERNAL
    user_id: str | None = None
    """Who was refused, where that was known: for the log, and not for the client."""
    http_status: int | None = None
    """Of the problem document, where it is not that of the code."""

    @property
    def fields(self) -> Mapping[str, object]:
        """What the problem document says besides."""
        return {}

    def __init__(self, message: str, *, code: ErrorCode | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        if code is not None:
            self.code = code


class BadRequest(Refused):
    """The request is malformed. The message names the field and what is allowed."""

    code = ErrorCode.BAD_REQUEST


class BadName(Refused):
    """A name has a character that is not allowed, or a wrong length."""

    code = ErrorCode.BAD_NAME


class Unavailable(Refused):
    """The bus did not confirm the request in time. It may have been carried out or not."""

    code = ErrorCode.UNAVAILABLE

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


class LimitReached(Refused):
    """An owner (`kind`: agent or user) has `count` sessions, and may have `max_sessions`."""

    code = ErrorCode.LIMIT_REACHED

    def __init__(self, kind: str, name: str, count: int, max_sessions: int) -> None:
        super().__init__(f"{kind} {name} has {count} sessions, {max_sessions} are allowed")
        self.kind = kind
        self.name = name
        self.count = count


def internal_error() -> Refused:
    """The answer to a request that failed because of an error in the node."""
    return Refused("internal error; see the log of the node")


class ProtocolViolation(TannoyError):
    """The peer broke RFC 6455, or sends too many frames. `code` is the close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StartError(TannoyError):
    """The node cannot start. The message names what is wrong and what is allowed."""


class MalformedBytes(TannoyError):
    """Bytes on the bus that no node of this version has written."""
