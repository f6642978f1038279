"""What is said on a channel, on its way to the sockets, and where in the channel's history it stands."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Position(NamedTuple):
    """A place in what a channel has said: behind the message `offset` of `epoch`; 0 is before the first one.

    Within an epoch offsets rise by one from message to message, and each is given once.
    """

    epoch: str
    offset: int

    def as_fields(self) -> dict[str, object]:
        return {"epoch": self.epoch, "offset": self.offset}


NOWHERE = Position("", 0)
"""No epoch is without a name."""


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Where a session begins to hear a channel. `position` is None without history.

    `recovered` is None if it did not ask to be brought up to date.
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
    """One frame's object, encoded once in each wire format by the node it entered at."""

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
    """What travels on the bus of a room or an agent. `exclude` is a session that does not get it.

    `version` is that of the room's presence if this tells of a change, and 0 if it does not. `epoch` and `offset` are
    the message's position; an offset of 0 marks what history does not keep: all but messages. `resets`: from here on
    the channel is at `epoch`, behind `offset`, and what was before may be lost.
    """

    encoded: Encoded
    exclude: str = ""
    version: int = 0
    epoch: str = ""
    offset: int = 0
    resets: bool = False
