"""Control messages: requests, surveys and announcements to all nodes, notices to one, and what is answered.

`codec.py`, `sealing.py`: their bytes.
"""

from dataclasses import dataclass

from ...shared.channels import Owner
from ...shared.codes import CloseCode
from ...shared.names import AgentId, SessionId, UserId
from ...shared.online import OnlineUsers
from ...shared.publication import EncodedMessage
from ...shared.reports import SocketOutcome
from ...shared.revocations import Revocation
from ...shared.sessions import SessionInfo


@dataclass(frozen=True, slots=True)
class DeliverToUser:
    """Deliver this to each session of the user. `request` and `reply_to`: a number and a channel of the requester."""

    request: int
    reply_to: bytes
    user_id: UserId
    encoded: EncodedMessage


@dataclass(frozen=True, slots=True)
class DeliverToSession:
    """Deliver this to one session of an agent."""

    request: int
    reply_to: bytes
    agent_id: AgentId
    session_id: SessionId
    encoded: EncodedMessage


@dataclass(frozen=True, slots=True)
class CloseSessions:
    """An operator closes the sessions of an owner (4504), or the one of that name."""

    request: int
    reply_to: bytes
    owner: Owner
    session_id: SessionId | None


@dataclass(frozen=True, slots=True)
class ListSessions:
    """List the sessions of the user."""

    request: int
    reply_to: bytes
    user_id: UserId


@dataclass(frozen=True, slots=True)
class Response:
    """A node's response to a request: how many of its sessions it concerned, and, if asked for, which."""

    request: int
    sessions: int
    listed: tuple[SessionInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportDelivery:
    """Answer what became of the message with this token at the sockets of the channel, once it is delivered."""

    request: int
    reply_to: bytes
    address: bytes
    token: str


@dataclass(frozen=True, slots=True)
class DeliverReported:
    """Deliver this, and answer what became of it at each socket."""

    request: int
    reply_to: bytes
    delivery: DeliverToUser | DeliverToSession
    """Its own `request` and `reply_to` count for nothing."""


@dataclass(frozen=True, slots=True)
class ListOnline:
    """List the first `limit` users of the node behind `after`, in the order of their ids."""

    request: int
    reply_to: bytes
    after: str
    limit: int


@dataclass(frozen=True, slots=True)
class Drain:
    """To one node: leave, as on SIGTERM."""

    request: int
    reply_to: bytes


@dataclass(frozen=True, slots=True)
class Draining:
    """It is leaving."""


SurveyBody = SocketOutcome | OnlineUsers | Draining


@dataclass(frozen=True, slots=True)
class SurveyAnswer:
    """A node's answer to a survey. `incarnation` names the process."""

    request: int
    incarnation: str
    body: SurveyBody


@dataclass(frozen=True, slots=True)
class Evict:
    """To the node of a lease: close its session with this code, since the session `displaced_by` gets the lease.

    `count` is the number of the owner's sessions when that was decided.
    """

    owner: Owner
    lease: str
    code: CloseCode
    count: int
    displaced_by: str


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    """To the node of a waiting lease: Redis has granted it. May get lost: the node asks Redis again by itself."""

    owner: Owner
    lease: str


@dataclass(frozen=True, slots=True)
class RevocationChanged:
    """Something is revoked, or is not any more. May get lost: every node asks Redis again by itself.

    `before` and `after` are stamps of all revocations (`fanout/lua/revocation_common.lua`): who knows those before
    knows, with this one, those after.
    """

    revocation: Revocation
    before: bytes
    after: bytes


Request = DeliverToUser | DeliverToSession | CloseSessions | ListSessions
"""To every node, each of which responds."""

Survey = ReportDelivery | DeliverReported | ListOnline | Drain
"""To every node, or to one, each of which answers by its name: so it is known which have not."""

Notice = Evict | LeaseGranted
"""To one node, which does not respond."""

Announcement = RevocationChanged
"""To every node, none of which responds."""

ControlMessage = Request | Survey | Notice | Announcement | Response | SurveyAnswer
