"""The sessions that this process has in rooms, by partition: what Redis has to agree with."""

from collections.abc import Mapping
from typing import NamedTuple

from ...shared.channels import PARTITIONS, Channel
from ...shared.names import RoomName, UserId


class PresentSession(NamedTuple):
    room: Channel
    user_id: UserId
    username: str


class PresentSessions:
    """By partition, since a partition is restated at a time: a walk over all sessions would stall the event loop."""

    def __init__(self) -> None:
        self._partitions: list[dict[int, PresentSession]] = [{} for _ in range(PARTITIONS)]

    def add(self, number: int, session: PresentSession) -> None:
        self._partitions[session.room.partition][number] = session

    def remove(self, room: Channel, number: int) -> PresentSession | None:
        """The session with this number, which is removed; None: it was removed before."""
        return self._partitions[room.partition].pop(number, None)

    def rooms_of(self, partition: int) -> Mapping[RoomName, dict[int, PresentSession]]:
        """A copy of what is present now: room → number → session."""
        rooms: dict[RoomName, dict[int, PresentSession]] = {}
        for number, session in self._partitions[partition].items():
            rooms.setdefault(RoomName(session.room.name), {})[number] = session
        return rooms
