"""What happened in a run, as clients saw it on the wire, and what was done to the cluster: an append-only record.

All times are seconds since the run began, on this machine's one real-time clock. For what came over a socket it is the
moment at which the kernel took the bytes in (`recorder.py`), not the one at which the run got round to reading them:
events of many sockets are in their true order, however busy the run was. Events are appended in the order of reading.
"""

import json
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar


class End(StrEnum):
    """How a connection ended, as its client saw it, or what the client did to it."""

    BYE = "bye"
    CLOSED = "closed"  # a close frame without a bye before it
    LOST = "lost"  # end of stream, reset, or nobody listens
    REFUSED = "refused"  # the handshake was answered with another status than 101
    LEFT = "left"  # the client began to close
    VANISHED = "vanished"  # the client cut the connection, without a goodbye
    GAVE_UP = "gave_up"  # the client waited in vain for a welcome


class FaultKind(StrEnum):
    FREEZE_NODE = "freeze_node"
    KILL_NODE = "kill_node"
    FREEZE_REDIS = "freeze_redis"
    EMPTY_REDIS = "empty_redis"  # killed, and started again with nothing in it
    KILL_PUBSUB = "kill_pubsub"
    KILL_NORMAL = "kill_normal"
    STALL_LINK = "stall_link"  # all connections of a node
    RESET_LINK = "reset_link"
    FLUSH_SCRIPTS = "flush_scripts"
    STALE_REDIS = "stale_redis"  # killed, and started again with the data of a while ago
    FAILOVER = "failover"  # killed, and a replica takes over that had fallen behind
    STALL_PART = "stall_part"  # one of the four connections of a node
    LOSE_LINK = "lose_link"  # the connection on which a node hears what others say is cut, and stays away for a while
    CUT_REPLIES = "cut_replies"  # what a node asks for is done, and it never hears of it
    SLOW_CLIENT = "slow_client"


class Attempt(NamedTuple):
    """A client begins to connect. `session` is the run's own number for it, `called` the session name it asks for."""

    at: float
    session: int
    agent: str | None
    room: str | None
    node: str
    called: str | None
    user: str


class Welcomed(NamedTuple):
    at: float
    session: int
    session_id: str


class Heard(NamedTuple):
    """A message of `Published` came."""

    at: float
    session: int
    number: int


class Ended(NamedTuple):
    """`code`: of the bye or close frame, or the HTTP status of a refused handshake."""

    at: float
    session: int
    end: End
    code: int | None = None
    retry_after: float | None = None


class Spoke(NamedTuple):
    """Something came that may not come any more, or not yet: behind `bye`, or before `welcome`."""

    at: float
    session: int
    what: str


class Published(NamedTuple):
    """A message to all agents is about to be handed to a node: nobody can hear it before."""

    at: float
    number: int


class Fault(NamedTuple):
    """Begins, and holds for certain from `at` on."""

    at: float
    fault: int
    kind: FaultKind
    target: str


class Healed(NamedTuple):
    """The fault is about to be taken away: it holds for certain until `at`."""

    at: float
    fault: int


class LimitSet(NamedTuple):
    at: float
    agent: str
    max_sessions: int
    policy: str


class NodeDied(NamedTuple):
    """A node has ended by itself: nobody has killed it."""

    at: float
    node: str
    last_words: str


class Roster(NamedTuple):
    """Sessions of an agent, as `node` told at last and as the clients know it, when all should be quiet."""

    at: float
    moment: str
    agent: str
    node: str
    listed: tuple[str, ...]
    connected: tuple[str, ...]


class RollCall(NamedTuple):
    """Users of a room with the number of their sessions, as `node` told at last and as the clients know it."""

    at: float
    room: str
    node: str
    listed: tuple[tuple[str, int], ...]
    connected: tuple[tuple[str, int], ...]


class Viewed(NamedTuple):
    """The users of a room, as one of its members had put them together at last from what it was told."""

    at: float
    session: int
    room: str
    seen: tuple[str, ...]
    connected: tuple[str, ...]


class Left(NamedTuple):
    """An observer was told that a user has left."""

    at: float
    session: int
    room: str
    user: str


class Complaint(NamedTuple):
    """What one member of a room was told does not fit together."""

    at: float
    session: int
    room: str
    what: str


class Probed(NamedTuple):
    """When all is quiet somebody comes for a free place; `code` is the last refusal, if it was not let in in time."""

    at: float
    agent: str
    place: int
    admitted: bool
    seconds: float
    code: int | None


Event = (
    Attempt
    | Welcomed
    | Heard
    | Ended
    | Spoke
    | Published
    | Fault
    | Healed
    | LimitSet
    | NodeDied
    | Roster
    | RollCall
    | Viewed
    | Left
    | Complaint
    | Probed
)
Some = TypeVar("Some", bound=tuple[object, ...])


class History:
    """`now` is the run's clock."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.base_ns = time.time_ns()
        self._began = time.monotonic_ns()

    def now(self) -> float:
        return (time.time_ns() - self.base_ns) / 1e9

    def add(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Some]) -> Iterator[Some]:
        """All events of one kind, as they were appended."""
        return (event for event in self.events if isinstance(event, kind))

    @property
    def clock_drift(self) -> float:
        """Seconds by which the real-time clock was set during the run: the order of events rests on it."""
        return self.now() - (time.monotonic_ns() - self._began) / 1e9

    def write(self, path: Path) -> None:
        """One JSON array per line: the kind of event, then its fields."""
        with path.open("w") as file:
            for event in self.events:
                file.write(json.dumps([type(event).__name__, *event]) + "\n")
