"""All that nodes say to each other: questions to every node, errands to one, and answers. `codec.py` seals them."""

from dataclasses import dataclass

from ...shared.channels import Owner
from ...shared.codes import CloseCode
from ...shared.names import AgentId, SessionId, UserId
from ...shared.publication import EncodedMessage
from ...shared.sessions import SessionInfo


@dataclass(frozen=True, slots=True)
class DeliverToUser:
    """Order to every node: hand this to each of the user's sessions, and tell `reply_to` how many there were."""

    request: int
    reply_to: bytes
    user_id: UserId
    encoded: EncodedMessage


@dataclass(frozen=True, slots=True)
class DeliverToSession:
    """Order to every node: hand this to one session of an agent, and tell `reply_to` whether it was here."""

    request: int
    reply_to: bytes
    agent_id: AgentId
    session_id: SessionId
    encoded: EncodedMessage


@dataclass(frozen=True, slots=True)
class CloseSessions:
    """Order to every node: an operator closes an owner's sessions (4504), or the one of that name. Answered."""

    request: int
    reply_to: bytes
    owner: Owner
    session_id: SessionId | None


@dataclass(frozen=True, slots=True)
class ListSessions:
    """Order to every node: tell which sessions of the user are here."""

    request: int
    reply_to: bytes
    user_id: UserId


@dataclass(frozen=True, slots=True)
class Response:
    """A node's answer to an order: how many of its sessions it concerned, and, if asked for, which."""

    request: int
    sessions: int
    listed: tuple[SessionInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Evict:
    """Order to the node of a lease: close its session with this code; its place is wanted by `displaced_by`.

    `count` is that of the owner's sessions when it was decided.
    """

    owner: Owner
    lease: str
    code: CloseCode
    count: int
    displaced_by: str


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    """Word to the node of a lease: the place that it waits for is its own now. May get lost: Redis knows."""

    owner: Owner
    lease: str


Request = DeliverToUser | DeliverToSession | CloseSessions | ListSessions
"""Orders to every node, which each of them answers."""

Notice = Evict | LeaseGranted
"""Orders to one node, which are not answered."""

ControlMessage = Request | Notice | Response
