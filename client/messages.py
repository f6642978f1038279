"""The items of a channel: messages, and gaps where messages are missing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ..shared.publication import Position
from .catch_up import Frame, Missing


class Message(NamedTuple):
    """One message of a room or an agent.

    `offset` is its number in the channel; None without history. `user_id`, `username` and `session_id` are None where a
    back end named none. `timestamp` is RFC 3339 in UTC with milliseconds.
    """

    content: Any
    offset: int | None
    user_id: str | None
    username: str | None
    session_id: str | None
    timestamp: str

    @property
    def time(self) -> datetime:
        """The timestamp, with its time zone."""
        return datetime.fromisoformat(self.timestamp)


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages after the position `after`, up to and including `until`, may be missing: no node can send them any more.

    None: that end is not known, as without history. `channel` is the name of the room or agent.
    """

    channel: str
    after: Position | None
    until: Position | None

    @property
    def is_new_epoch(self) -> bool:
        """Redis has lost data, and the channel has begun another epoch: messages behind the gap may be repetitions.

        Those are left out that are among the last 300 that were read.
        """
        return self.after is not None and self.until is not None and self.after.epoch != self.until.epoch

    def __str__(self) -> str:
        return str(Missing(self.after, self.until))


def parse_message(frame: Frame) -> Message:
    """Return the message of a `message` frame, or of an entry of `history`."""
    return Message(
        frame["content"],
        frame.get("offset"),
        frame["user_id"],
        frame["username"],
        frame["session_id"],
        frame["timestamp"],
    )
