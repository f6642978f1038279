"""A message on the bus, and its position in the history of its channel."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

BATCH_MAX = 1000
"""Messages in one `POST /messages` of the HTTP API."""


class Position(NamedTuple):
    """A position in the history of a channel: after the message `offset` of `epoch`; 0 is before the first message.

    Within an epoch the offsets of messages are consecutive, and each is assigned once.
    """

    epoch: str
    offset: int

    @property
    def is_start(self) -> bool:
        """No message of the epoch lies before it: that of an archived channel names the offset at which it begins."""
        return self.offset == 0 or self.epoch.endswith(f"_{self.offset}")

    def as_fields(self) -> dict[str, object]:
        return {"epoch": self.epoch, "offset": self.offset}


UNKNOWN_POSITION = Position("", 0)
"""A position in no epoch, since the name of an epoch is never empty. Nothing is recovered from it."""


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Where a session starts to receive a channel. `position` is None without history.

    `recovered` is None if the session did not ask for recovery; `missed` are the messages to recover.
    """

    position: Position | None = None
    recovered: bool | None = None
    missed: "tuple[Publication, ...]" = ()

    def as_fields(self) -> dict[str, object]:
        fields = {} if self.position is None else self.position.as_fields()
        return fields if self.recovered is None else fields | {"recovered": self.recovered}


NO_HISTORY = StartPosition()


@dataclass(frozen=True, slots=True)
class EncodedMessage:
    """One frame, encoded once in each wire format by the node on which it was published."""

    json: bytes
    msgpack: bytes


class Encoded(Protocol):
    """An EncodedMessage, or an object that encodes a frame when one of its properties is first read."""

    @property
    def json(self) -> bytes: ...
    @property
    def msgpack(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Publication:
    """One frame on its way from the bus to the sessions of a channel.

    `exclude` is a session that does not receive it, and the token of a report, if one is asked for (`reports.py`).
    `version` is the version of the room's presence in a frame that reports a change of it, else 0. `epoch` and
    `offset` are the position of a message; an offset of 0 marks a frame that is not kept in the history. `resets`: the
    channel continues after `offset` of `epoch`, and messages before may be lost.
    """

    encoded: Encoded
    exclude: str = ""
    version: int = 0
    epoch: str = ""
    offset: int = 0
    resets: bool = False
