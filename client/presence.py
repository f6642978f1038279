"""Who is in a room: snapshots, and changes whose versions tell when one is missing. No I/O.

`client/js/src/presence.ts` does the same for pages.
"""

from dataclasses import dataclass

from .catch_up import Frame

QUEUED_MAX = 1000
"""Changes that are remembered while a snapshot is requested; one that is dropped shows later, as a missing version."""
COMPLETE_MAX = 50
"""In a room with more users a count is all there is; in a smaller one it means that an event was not sent."""


@dataclass(frozen=True, slots=True)
class User:
    """A user in a room. `sessions` of 0: the user left, and may be back before the others are told."""

    user_id: str
    username: str
    sessions: int


class Presence:
    """The users in one room, kept current. In a large room `users` has not all of them; `count` has."""

    __slots__ = ("_is_requested", "_queued", "_version", "count", "has_missed", "users")

    def __init__(self) -> None:
        self.count = 0
        self.users: dict[str, User] = {}
        """By user id."""
        self.has_missed = False
        """A change was not received: request a snapshot."""
        self._version: int | None = None
        self._is_requested = False
        self._queued: list[Frame] = []

    def apply_snapshot(self, snapshot: Frame) -> None:
        """Replace everything, by the `ok` of `join` or `presence`; then apply what came since it was requested."""
        queued, self._queued, self._is_requested = self._queued, [], False
        self.count = snapshot["users_count"]
        self._version = snapshot.get("version")
        self.has_missed = False
        self._set_users(snapshot.get("users") or [])
        for change in queued:
            self.apply_change(change)

    def begin_request(self) -> None:
        """A snapshot was requested: its answer may be older than the changes that come from now on."""
        self._is_requested, self._queued = True, []

    def end_request(self) -> None:
        """The request failed."""
        self._is_requested, self._queued = False, []

    def apply_change(self, change: Frame) -> bool:
        """Apply a `user_joined`, `user_left` or `presence`. Returns False if the snapshot contained it already."""
        version: int = change["version"]
        if self._version is None or version <= self._version:
            return False
        is_count = change["type"] == "presence"
        is_complete = is_count and change["users_count"] > COMPLETE_MAX
        if not is_complete and (is_count or version > self._version + 1):
            self.has_missed = True
        self._version = version
        self.count = change["users_count"]
        if "users" in change:
            self._set_users(change["users"])
        elif change["type"] == "user_joined":
            user_id = change["user_id"]
            self.users[user_id] = User(user_id, change["username"], 1)
        elif change["type"] == "user_left":
            self.users.pop(change["user_id"], None)
        else:
            self.users.clear()  # from now on no frame names the users who leave
        if self._is_requested and len(self._queued) < QUEUED_MAX:
            self._queued.append(change)
        return True

    def reset(self) -> None:
        """The connection or the room was left: until the next snapshot, changes are ignored."""
        self._version = None
        self.has_missed = False
        self.end_request()

    def _set_users(self, users: list[Frame]) -> None:
        self.users = {each["user_id"]: User(each["user_id"], each["username"], each["sessions"]) for each in users}
