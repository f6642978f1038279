"""What goes wrong with a Redis server, as exceptions: the connection ends, or Redis answers with an error."""

from ...shared.errors import TannoyError, Unavailable

_REASONS = {
    "OOM": "Redis is out of memory",
    "NOREPLICAS": "Redis has too few replicas to accept writes",
    "MISCONF": "Redis can't save its data, and accepts no writes",
    "READONLY": "Redis is a replica, and accepts no writes",
    "MASTERDOWN": "Redis is a replica without its master",
    "LOADING": "Redis is loading its data",
    "BUSY": "Redis is busy with a script",
    "NOPERM": "Redis does not allow it to the user of the node",
    "NOAUTH": "Redis does not accept the credentials of the node",
    "WRONGPASS": "Redis does not accept the credentials of the node",
    "CLUSTERDOWN": "the Redis Cluster is down",
    "NOSCRIPT": "Redis has lost a script",
}
NO_RIGHT_IN_SCRIPT = ("ERR The user executing the script can't", "ERR ACL failure in script")
"""What Redis 7.0 and later say, with the general code ERR, where an ACL forbids what a script does."""


class ConnectionLost(TannoyError):
    """The connection ended before the reply came."""


class CannotConnect(ConnectionLost):
    """A connection can't be made: its host name, its files or its credentials are not usable now.

    The message is a sentence that says which, and never contains a password.
    """


class RedisError(TannoyError):
    """Redis replied with an error. The message is its text: `NOAUTH Authentication required.`"""

    @property
    def code(self) -> str:
        """The first word of the text, which names the kind of error: `NOAUTH`, `MOVED`, `ERR`."""
        return str(self).partition(" ")[0]

    @property
    def reason(self) -> str:
        """Why Redis refuses, in words that may be shown to anybody: without names of users, keys or scripts."""
        code = "NOPERM" if str(self).startswith(NO_RIGHT_IN_SCRIPT) else self.code
        return _REASONS.get(code, "Redis refuses it")

    @property
    def is_about_data(self) -> bool:
        """A command or a script expects something else there than Redis holds."""
        text = str(self)
        if self.code == "ERR":
            return "user_script" in text and not text.startswith(NO_RIGHT_IN_SCRIPT)
        return self.code == "WRONGTYPE"


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


def not_confirmed(error: TannoyError) -> CommandFailed:
    """What the caller of a command is told whose reply was this error.

    Clients read it, so a refusal is not told in Redis' own words, which name users, keys and scripts.
    """
    if isinstance(error, RedisError):
        return CommandFailed(f"the bus did not confirm: {error.reason}", refusal=error)
    return CommandFailed("the bus did not confirm: the connection to Redis was lost")


def reason_of(error: Unavailable) -> str:
    """Why a command failed, in words that may be shown to anybody."""
    refusal = error.refusal if isinstance(error, CommandFailed) else None
    return error.message if refusal is None else refusal.reason


def words_of(error: Unavailable) -> str:
    """The same for the log of the node: in the words of Redis, if it has refused."""
    refusal = error.refusal if isinstance(error, CommandFailed) else None
    return str(refusal or error)
