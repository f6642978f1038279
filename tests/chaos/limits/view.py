"""The users of a room as one of its members puts them together: a snapshot, then events. Pure.

A snapshot of its own arrival (`welcome`) holds no event that comes after it. The answer to `presence` may be ahead of
the bus: events that it holds already may still come, and are dropped. A version that is left out means: ask anew.
"""

from enum import Enum, auto
from typing import Any


class Then(Enum):
    GO_ON = auto()
    ASK = auto()


class View:
    def __init__(self) -> None:
        self.users: set[str] = set()
        self.version = 0
        self.complaints: list[str] = []
        self._known_ahead = 0
        """Version of the last answer to `presence`."""
        self._last_told = 0

    def snapshot(self, frame: dict[str, Any], *, is_answer: bool) -> Then:
        if "users" not in frame:
            self.complaints.append(f"no users in {frame['type']}")
            return Then.GO_ON
        if is_answer and frame["version"] < max(self.version, self._last_told):
            return Then.ASK  # events have been faster than the answer, and those that left one out were not followed
        self.users = {user["user_id"] for user in frame["users"]}
        self.version = frame["version"]
        self._check_count(frame)
        if is_answer:
            self._known_ahead = self.version
        return Then.GO_ON

    def event(self, frame: dict[str, Any]) -> Then:
        """One of user_joined, user_left, presence."""
        version: int = frame["version"]
        if version <= self._last_told:
            self.complaints.append(f"version {version} came behind {self._last_told}")
        self._last_told = max(self._last_told, version)
        if version <= self.version:
            if version > self._known_ahead:
                self.complaints.append(f"version {version} is not above {self.version}")
            return Then.GO_ON
        left_out = version != self.version + 1
        if left_out or frame["type"] == "presence":
            return Then.ASK
        self.version = version
        user = frame["user_id"]
        if (frame["type"] == "user_joined") is (user in self.users):
            self.complaints.append(f"{frame['type']} of {user} at version {version}")
        if frame["type"] == "user_joined":
            self.users.add(user)
        else:
            self.users.discard(user)
        self._check_count(frame)
        return Then.GO_ON

    def _check_count(self, frame: dict[str, Any]) -> None:
        if frame["users_count"] != len(self.users):
            told = f"{frame['users_count']} users are told of, and {len(self.users)} have come"
            self.complaints.append(f"{told}, at version {frame['version']}")
