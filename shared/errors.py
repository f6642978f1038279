"""The exception tree. Every error that Tannoy raises on purpose is one of these.

TannoyError
├── Refused                 answered with a code of `docs/protocol.md §4`: an error frame, or a problem document
│   ├── BadRequest          the words are wrong: the sender has to change them
│   ├── BadName             a name outside the alphabet of `docs/protocol.md §1`
│   ├── LimitReached        every place of the agent or user is taken
│   └── Unavailable         the bus did not confirm in time: repeat later
├── ProtocolViolation       RFC 6455 broken: the connection fails with this close code
└── StartError              the node cannot start; the message is a sentence for the operator
"""

from .codes import ErrorCode


class TannoyError(Exception):
    """Base of all errors raised on purpose."""


class Refused(TannoyError):
    """A request that is answered with an error code of `docs/protocol.md §4`.

    `retry_after` is in seconds; None where repeating the same words is pointless.
    """

    code: ErrorCode = ErrorCode.INTERNAL

    def __init__(self, message: str, *, code: ErrorCode | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        if code is not None:
            self.code = code


class BadRequest(Refused):
    code = ErrorCode.BAD_REQUEST


class BadName(Refused):
    code = ErrorCode.BAD_NAME


class Unavailable(Refused):
    code = ErrorCode.UNAVAILABLE

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


class LimitReached(Refused):
    """`count` sessions are there, `max_sessions` may be. `kind` is agent or user."""

    code = ErrorCode.LIMIT_REACHED

    def __init__(self, kind: str, name: str, count: int, max_sessions: int) -> None:
        super().__init__(f"{kind} {name} has {count} sessions: {max_sessions} may be")
        self.kind = kind
        self.name = name
        self.count = count


def internal_error() -> Refused:
    """What whoever asked is told of a fault that is ours to mend."""
    return Refused("something went wrong in the node; its log says what")


class ProtocolViolation(TannoyError):
    """The peer broke RFC 6455; `code` is the close code that §7.4.1 asks for."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StartError(TannoyError):
    """The node cannot start. The message names what was wrong and what would be right."""


class MalformedBytes(TannoyError):
    """Bytes from the bus that no node of this cluster and version has written."""
