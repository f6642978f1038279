"""The users of a room as one of its members knows them: a snapshot, then events. Pure.

No event that the snapshot in `welcome` contains is delivered after it. The answer to `presence` may be ahead of the
bus: events that it contains may still arrive, and are dropped. A version that is left out means: request a snapshot.
"""

from enum import Enum, auto
from typing import Any


class NextStep(Enum):
    CONTINUE = auto()
    ASK = auto()


class View:
    def __init__(self) -> None:
        self.users: set[str] = set()
        self.version = 0
        self.inconsistencies: list[str] = []
        self._known_ahead = 0
        """Version of the last answer to `presence`."""
        self._last_version = 0

    def snapshot(self, frame: dict[str, Any], *, is_answer: bool) -> NextStep:
        if "users" not in frame:
            self.inconsistencies.append(f"no users in {frame['type']}")
            return NextStep.CONTINUE
        if is_answer and frame["version"] < max(self.version, self._last_version):
            return NextStep.ASK  # older than an event that was not applied
        self.users = {user["user_id"] for user in frame["users"]}
        self.version = frame["version"]
        self._check_count(frame)
        if is_answer:
            self._known_ahead = self.version
        return NextStep.CONTINUE

    def event(self, frame: dict[str, Any]) -> NextStep:
        """One of user_joined, user_left, presence."""
        version: int = frame["version"]
        if version <= self._last_version:
            self.inconsistencies.append(f"version {version} came after {self._last_version}")
        self._last_version = max(self._last_version, version)
        if version <= self.version:
            if version > self._known_ahead:
                self.inconsistencies.append(f"version {version} is not above {self.version}")
            return NextStep.CONTINUE
        left_out = version != self.version + 1
        if left_out or frame["type"] == "presence":
            return NextStep.ASK
        self.version = version
        user = frame["user_id"]
        if (frame["type"] == "user_joined") is (user in self.users):
            self.inconsistencies.append(f"{frame['type']} of {user} at version {version}")
        if frame["type"] == "user_joined":
            self.users.add(user)
        else:
            self.users.discard(user)
        self._check_count(frame)
        return NextStep.CONTINUE

    def _check_count(self, frame: dict[str, Any]) -> None:
        if frame["users_count"] != len(self.users):
            counts = f"users_count is {frame['users_count']}, and {len(self.users)} users were announced"
            self.inconsistencies.append(f"{counts}, at version {frame['version']}")
