"""How a client connects, and how much it keeps: the arguments of `connect`, checked."""

from dataclasses import dataclass
from enum import StrEnum
from ssl import SSLContext
from urllib.parse import urlencode, urlsplit

from ..shared.protocol.codec import JSON, MSGPACK, WireFormat
from ..shared.publication import Position
from .errors import ClientError
from .proxies import Proxy, find_proxy
from .targets import check_url

WIRE_FORMATS: dict[str, WireFormat] = {JSON.name: JSON, MSGPACK.name: MSGPACK}
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


class SlowReader(StrEnum):
    """What happens when a channel has as many unread messages as `queue_size` allows.

    PAUSE: the client reads no more from the socket until the reader has caught up. The node then queues up to its
    `OUTBOX_MAX_BYTES`, and closes the connection or skips; what was missed is recovered. The other channels of the
    connection wait too. While a command awaits its answer the client reads on, as with RECOVER.

    RECOVER: the client drops what comes for that channel, and reads it from the history when the reader has caught up.
    What is no longer kept is a Gap. Nothing else waits.
    """

    PAUSE = "pause"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `connect`, whose docstring describes them. Times are in seconds."""

    url: str
    user_id: str | None = None
    username: str | None = None
    wire: WireFormat = JSON
    queue_size: int = 1000
    slow_reader: SlowReader = SlowReader.PAUSE
    max_attempts: int | None = None
    timeout: float = 10.0
    connect_timeout: float = 30.0
    ssl: SSLContext | None = None
    proxy: Proxy | None = None

    def build_address(
        self, path: str, *, user_id: str | None, session_id: str | None = None, recover_from: Position | None = None
    ) -> str:
        """The address of an endpoint, with the position to recover from."""
        query = {"user_id": user_id, "username": self.username, "session_id": session_id}
        if recover_from is not None:
            query |= {"epoch": recover_from.epoch, "offset": str(recover_from.offset)}
        given = {name: value for name, value in query.items() if value is not None}
        return f"{self.url}{path}" + (f"?{urlencode(given)}" if given else "")


def check_options(
    url: str,
    *,
    user_id: str | None,
    username: str | None,
    encoding: str,
    queue_size: int,
    slow_reader: str,
    max_attempts: int | None,
    timeout: float,
    connect_timeout: float,
    ssl: SSLContext | None,
) -> Options:
    """Raises ClientError for a malformed address, and ValueError for another bad argument."""
    if encoding not in WIRE_FORMATS:
        raise ValueError(f"encoding={encoding!r}: allowed are {', '.join(WIRE_FORMATS)}")
    if queue_size < 1:
        raise ValueError(f"queue_size={queue_size}: at least 1 is needed")
    if max_attempts is not None and max_attempts < 1:
        raise ValueError(f"max_attempts={max_attempts}: at least 1 is needed, or None for no limit")
    if timeout <= 0 or connect_timeout <= 0:
        raise ValueError(f"timeout={timeout}, connect_timeout={connect_timeout}: more than 0 seconds are needed")
    address = check_address(url)
    return Options(
        address.replace("http", "ws", 1),
        user_id,
        username,
        WIRE_FORMATS[encoding],
        queue_size,
        SlowReader(slow_reader),
        max_attempts,
        timeout,
        connect_timeout,
        ssl,
        find_proxy(address),
    )


def check_address(url: str) -> str:
    """The address with http or https, without a slash at its end."""
    scheme, separator, rest = url.partition("://")
    if scheme not in _SCHEMES or not separator or urlsplit(url).query or "#" in url:
        raise ClientError(
            f"{url!r} is not the address of a cluster: ws://HOST:PORT or wss://HOST:PORT is expected, "
            "with a path before which /ws is found, if there is one"
        )
    return check_url(f"{_SCHEMES[scheme]}://{rest}")
