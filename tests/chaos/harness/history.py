"""What happened in a run: an append-only list of what clients saw on the wire and of the faults of the cluster.

All times are seconds since the run began, on the one real-time clock of this machine. For bytes of a socket it is the
time at which the kernel received them (`connection.py`), not the time at which the run read them: events of many
sockets are in their true order, however busy the run was. Events are appended in the order of reading.
"""

import itertools
import json
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar


class End(StrEnum):
    """How a connection ended, as its client saw it or caused it."""

    BYE = "bye"
    CLOSED = "closed"  # a close frame without a bye before it
    LOST = "lost"  # end of stream, reset, or connection refused
    REFUSED = "refused"  # the handshake was answered with another status than 101
    LEFT = "left"  # the client began to close
    DISCONNECTED = "disconnected"  # the client ended the TCP connection without a close frame
    GAVE_UP = "gave_up"  # the client got no welcome in time


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
    STALE_REDIS = "stale_redis"  # killed, and started again with older data
    FAILOVER = "failover"  # killed, and a replica is promoted that lacks the last writes
    STALL_PART = "stall_part"  # one of the four connections of a node
    LOSE_LINK = "lose_link"  # the pub/sub connection of a node is reset, and cannot be established again for a while
    CUT_REPLIES = "cut_replies"  # Redis executes what a node sends, and the replies are lost
    SLOW_CLIENT = "slow_client"
    VANISH = "vanish"  # some keys are deleted
    # The address leads to another server from now on, and one connection of some nodes stays on the former one.
    SWITCH_TO_EMPTY = "switch_to_empty"  # which has no data
    SWITCH_TO_COPY = "switch_to_copy"  # which was a replica


SWITCHES = (FaultKind.SWITCH_TO_EMPTY, FaultKind.SWITCH_TO_COPY)


class Attempt(NamedTuple):
    """A client begins to connect. `session`: its number in the run; `session_name`: the `session_id` it asks for."""

    at: float
    session: int
    agent: str | None
    room: str | None
    node: str
    session_name: str | None
    user: str


class Welcomed(NamedTuple):
    at: float
    session: int
    session_id: str


class MessageReceived(NamedTuple):
    """A message of `Published` arrived."""

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


class UnexpectedFrame(NamedTuple):
    """A frame arrived that the protocol does not allow there: after `bye`, or a message before `welcome`."""

    at: float
    session: int
    what: str


class Published(NamedTuple):
    """A message to all agents is about to be sent to a node: it cannot be received before `at`."""

    at: float
    number: int


class Fault(NamedTuple):
    """A fault is certainly in effect from `at` on. `fault`: its number in the run."""

    at: float
    fault: int
    kind: FaultKind
    target: str


class Healed(NamedTuple):
    """The fault is about to be removed: it is certainly in effect until `at`."""

    at: float
    fault: int


class LimitSet(NamedTuple):
    at: float
    agent: str
    max_sessions: int
    policy: str


class NodeDied(NamedTuple):
    """A node process has exited without being killed. `last_words`: the end of its log."""

    at: float
    node: str
    last_words: str


class SessionList(NamedTuple):
    """Sessions of an agent: those that `node` lists at the end of an audit, and those that clients have open."""

    at: float
    moment: str
    agent: str
    node: str
    listed: tuple[str, ...]
    connected: tuple[str, ...]


class PresenceList(NamedTuple):
    """Users of a room with their sessions: as `node` lists them after the faults, and as clients have them open."""

    at: float
    room: str
    node: str
    listed: tuple[tuple[str, int], ...]
    connected: tuple[tuple[str, int], ...]


class FinalView(NamedTuple):
    """The users of a room at the end: as one member knows them from its events, and as clients have them open."""

    at: float
    session: int
    room: str
    seen: tuple[str, ...]
    connected: tuple[str, ...]


class Left(NamedTuple):
    """A member of a room received `user_left`."""

    at: float
    session: int
    room: str
    user: str


class Inconsistency(NamedTuple):
    """The presence events that one member received contradict each other."""

    at: float
    session: int
    room: str
    what: str


class PlaceProbe(NamedTuple):
    """A client asks for place number `place` after the faults. `code`: of the last refusal, if it was not admitted."""

    at: float
    agent: str
    place: int
    admitted: bool
    seconds: float
    code: int | None


Event = (
    Attempt
    | Welcomed
    | MessageReceived
    | Ended
    | UnexpectedFrame
    | Published
    | Fault
    | Healed
    | LimitSet
    | NodeDied
    | SessionList
    | PresenceList
    | FinalView
    | Left
    | Inconsistency
    | PlaceProbe
)
Some = TypeVar("Some", bound=tuple[object, ...])


class History:
    """The events of a run, and its clock: `now`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.base_ns = time.time_ns()
        self._began = time.monotonic_ns()
        self._faults = itertools.count(1)

    def now(self) -> float:
        return (time.time_ns() - self.base_ns) / 1e9

    def add(self, event: Event) -> None:
        self.events.append(event)

    def record_fault(self, kind: FaultKind, target: str) -> int:
        """A fault is in effect now. Returns its number."""
        number = next(self._faults)
        self.add(Fault(self.now(), number, kind, target))
        return number

    def record_healed(self, fault: int, *, after: float = 0.0) -> None:
        """The fault is about to be removed. `after`: the seconds for which its effects may last."""
        self.add(Healed(self.now() + after, fault))

    def of(self, kind: type[Some]) -> Iterator[Some]:
        """All events of one kind, in the order in which they were appended."""
        return (event for event in self.events if isinstance(event, kind))

    @property
    def clock_drift(self) -> float:
        """Seconds by which the real-time clock was set during the run. The order of events depends on it."""
        return self.now() - (time.monotonic_ns() - self._began) / 1e9

    def write(self, path: Path) -> None:
        """One JSON array per line: the kind of event, then its fields."""
        with path.open("w") as file:
            for event in self.events:
                file.write(json.dumps([type(event).__name__, *event]) + "\n")
