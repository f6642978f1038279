"""The frames of presence: who comes to a room and leaves it, and who is there."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

from ..clock import rfc3339
from ..names import RoomName, UserId


@dataclass(frozen=True, slots=True)
class PresentUser:
    """A user in a room. `connected_at` is in ms since 1970; `sessions` of 0: the user left, and the grace time runs."""

    user_id: UserId
    username: str
    connected_at: int
    sessions: int

    def as_object(self) -> dict[str, object]:
        return {
            "user_id": self.user_id,
            "username": self.username,
            "connected_at": _format_time(self.connected_at),
            "sessions": self.sessions,
        }


@lru_cache(maxsize=4096)
def _format_time(milliseconds: int) -> str:
    """Cached: the list of a room's users is sent with each change, and formatting is most of its cost."""
    return rfc3339(milliseconds / 1000)


def _users_field(users: tuple[PresentUser, ...] | None) -> dict[str, object]:
    return {} if users is None else {"users": [user.as_object() for user in users]}


@dataclass(frozen=True, slots=True)
class PresenceSnapshot:
    """The users in a room, as of `version`: for `welcome`, and for the `ok` of `join` and `presence`.

    `users` is None if there are too many to list.
    """

    version: int
    users_count: int
    users: tuple[PresentUser, ...] | None

    def as_fields(self) -> dict[str, object]:
        return {"users_count": self.users_count, "version": self.version, **_users_field(self.users)}


@dataclass(frozen=True, slots=True)
class UserEvent:
    """The `user_joined` or the `user_left` frame. `users` is None if there are too many to list."""

    type: Literal["user_joined", "user_left"]
    room: RoomName
    user_id: UserId
    username: str
    users_count: int
    version: int
    users: tuple[PresentUser, ...] | None = None

    def as_object(self) -> dict[str, object]:
        return {
            "type": self.type,
            "room": self.room,
            "user_id": self.user_id,
            "username": self.username,
            "users_count": self.users_count,
            "version": self.version,
            **_users_field(self.users),
        }


@dataclass(frozen=True, slots=True)
class PresenceCount:
    """The `presence` frame: in large rooms, sent instead of single events."""

    type: ClassVar = "presence"
    room: RoomName
    users_count: int
    version: int

    def as_object(self) -> dict[str, object]:
        return {"type": self.type, "room": self.room, "users_count": self.users_count, "version": self.version}
