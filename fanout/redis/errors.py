"""What goes wrong with a Redis server, as exceptions: the connection ends, or Redis answers with an error."""

from ...shared.errors import TannoyError, Unavailable


class ConnectionLost(TannoyError):
    """The connection ended before the reply came."""


class RedisError(TannoyError):
    """Redis replied with an error. The message is its text: `NOAUTH Authentication required.`"""

    @property
    def code(self) -> str:
        """The first word of the text, which names the kind of error: `NOAUTH`, `MOVED`, `ERR`."""
        return str(self).partition(" ")[0]


class NotMaster(RedisError):
    """The server is a replica or a Sentinel. The message is the end of a sentence that begins with its address."""


class CommandFailed(Unavailable):
    """Redis did not confirm a command in time, or refused it.

    `refusal` is the error that Redis replied with, None without a reply. `is_returned`: a pipeline has given the
    command back without ever writing it to a connection. It was certainly not executed, and may be sent again.
    """

    def __init__(self, message: str, *, refusal: RedisError | None = None, is_returned: bool = False) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.is_returned = is_returned
