"""Handles the requests of other nodes (`fanout/control/control.py`) with the sessions of this node."""

from ...fanout.control.requests import CloseSessions, DeliverToSession, DeliverToUser, ListSessions, Request
from ...shared.channels import Owner, OwnerKind
from ...shared.codes import CloseCode
from ...shared.keyspace import Keyspace
from ...shared.names import SessionId, UserId
from ...shared.sessions import SessionInfo
from ..delivery.hub import Hub
from ..delivery.outbox import Outbox
from ..delivery.roster import Member
from ..protocols.encoding import Encoding
from .session_limits import SessionLeases, agent_of

LISTED_MAX = 1000
"""Sessions of one user that a node lists."""

Delivery = DeliverToUser | DeliverToSession

Answer = tuple[int, tuple[SessionInfo, ...]]
"""The number of sessions concerned, and those that are listed."""


class ControlHandler:
    """Delivers to sessions between `welcome` and `bye`; closes sessions before `welcome` too."""

    def __init__(self, hub: Hub, keyspace: Keyspace, session_leases: SessionLeases) -> None:
        self._hub = hub
        self._keyspace = keyspace
        self._session_leases = session_leases

    def handle_request(self, request: Request) -> Answer:
        """Carry out a request, and return the answer of this node."""
        match request:
            case DeliverToUser() | DeliverToSession():
                return self._deliver(request), ()
            case CloseSessions(_, _, owner, session_id):
                return self._close(owner, session_id), ()
            case ListSessions(_, _, user_id):
                sessions = self._open_sessions_of(user_id)
                listed = [
                    self._session_leases.describe(each.session, each.connected_at) for each in sessions[:LISTED_MAX]
                ]
                return len(sessions), tuple(listed)

    def _open_sessions_of(self, user_id: UserId) -> list[Member]:
        return [session for session in self._hub.sessions_of(user_id) if session.is_open]

    def find_receivers(self, delivery: Delivery) -> list[tuple[Encoding, Outbox]]:
        """The sockets of this node that a delivery is for."""
        match delivery:
            case DeliverToUser(_, _, user_id, _):
                return [(session.encoding, session.outbox) for session in self._open_sessions_of(user_id)]
            case DeliverToSession(_, _, agent_id, session_id, _):
                roster = self._hub.rosters.get(self._keyspace.agent(agent_id).address)
                found = roster.find_session(session_id) if roster else None
                return [] if found is None else [found]

    def _deliver(self, delivery: Delivery) -> int:
        receivers = self.find_receivers(delivery)
        for encoding, outbox in receivers:
            outbox.write_direct(encoding.encoded(delivery.encoded))
        return len(receivers)

    def _close(self, owner: Owner, session_id: SessionId | None) -> int:
        if owner.kind is OwnerKind.USER:
            sessions = list(self._hub.sessions_of(UserId(owner.name)))
        else:
            sessions = [each for each in self._hub.sessions() if agent_of(each.session) == owner]
        closed = [each for each in sessions if session_id in (None, each.session.session_id)]
        for session in closed:
            session.close(CloseCode.DISCONNECTED)
        return len(closed)
