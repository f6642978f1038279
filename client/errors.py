"""The errors of the client.

ClientError
├── NoAnswer          no server answers at the address
├── Unconfirmed       the request was sent, and whether it was carried out is not known
└── ConnectionLost    a WebSocket connection has ended, or could not be opened
"""

from ..shared.errors import TannoyError


class ClientError(TannoyError):
    """A request to the cluster failed. The message is a sentence for the user."""


class NoAnswer(ClientError):
    """No server answers at the address: the request was not carried out."""


class Unconfirmed(ClientError):
    """The request was sent and not confirmed: it may have been carried out or not."""


class ConnectionLost(ClientError):
    """The connection has ended, or could not be opened.

    `is_final`: the close code, or the HTTP status of the handshake, says not to connect again. `retry_after` is in
    seconds; None if the node named no time.
    """

    def __init__(self, reason: str, *, is_final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.retry_after = retry_after
