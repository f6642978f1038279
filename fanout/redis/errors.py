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

    `refusal` is the error that Redis replied with, None without a reply. `was_sent` is False only if the command was
    never written to a connection: then it was certainly not executed.
    """

    def __init__(self, message: str, *, refusal: RedisError | None = None, was_sent: bool = True) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.was_sent = was_sent
