"""The errors of the client.

ClientError
├── NoAnswer          no server answers at the address: the request was not carried out
├── Unconfirmed       the request was sent, and whether it was carried out is not known
├── CommandRefused    the node answered a command with an error code
├── ClientMisused     a call that the client can't carry out as it is: closed, not open, or another event loop
└── ConnectionLost    a WebSocket connection has ended, or could not be opened
    └── SessionEnded  and the client must not connect again
        ├── TokenExpired      4401, and there is no other token
        ├── Evicted           4500
        ├── TokenRefused      4501
        ├── AccessForbidden   4503
        ├── Disconnected      4504
        ├── TooManyBadFrames  4505
        └── Replaced          4506
"""

from ..shared.codes import CloseCode
from ..shared.errors import TannoyError


class ClientError(TannoyError):
    """A request to the cluster failed. The message is a sentence for the user."""


class NoAnswer(ClientError):
    """No server answers at the address: the request was not carried out."""


class Unconfirmed(ClientError):
    """The request was sent and not confirmed: it may have been carried out or not."""


class CommandRefused(ClientError):
    """The node answered a command with an error. `code` is one of docs/protocol.md §4; `retry_after` is in seconds."""

    def __init__(self, message: str, *, code: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class ClientMisused(ClientError):
    """The client is closed or not open yet, belongs to another event loop, or a channel is read by two at once."""


class ConnectionLost(ClientError):
    """The connection has ended, or could not be opened.

    `is_final`: the close code, or the HTTP status of the handshake, says not to connect again. `retry_after` is in
    seconds; None if the node named no time. `code` is the close code, or the HTTP status of a refused handshake; None
    if no server answered.
    """

    def __init__(
        self, reason: str, *, is_final: bool = False, retry_after: float | None = None, code: int | None = None
    ) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.retry_after = retry_after
        self.code = code


class SessionEnded(ConnectionLost):
    """The client must not connect again. `code` says why (docs/protocol.md §2 and §5)."""


class TokenExpired(SessionEnded):
    """The token has expired, and the client was given a string and not a function that returns another one."""


class Evicted(SessionEnded):
    """A newer session took the place of this one: the agent or the user has as many sessions as it may have."""


class TokenRefused(SessionEnded):
    """The token is not valid, or was revoked."""


class AccessForbidden(SessionEnded):
    """The token does not allow this, or a name in the address is malformed."""


class Disconnected(SessionEnded):
    """An operator closed the session."""


class TooManyBadFrames(SessionEnded):
    """The node refused too many frames of this client."""


class Replaced(SessionEnded):
    """The same session connected again elsewhere."""


FINAL_ERRORS: dict[int, type[SessionEnded]] = {
    CloseCode.TOKEN_EXPIRED: TokenExpired,
    CloseCode.EVICTED: Evicted,
    CloseCode.BAD_TOKEN: TokenRefused,
    CloseCode.FORBIDDEN: AccessForbidden,
    CloseCode.DISCONNECTED: Disconnected,
    CloseCode.BAD_FRAMES: TooManyBadFrames,
    CloseCode.REPLACED: Replaced,
}
"""The error of a session that ended with this close code; SessionEnded itself for all others."""
