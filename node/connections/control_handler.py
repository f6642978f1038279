"""Handles the requests of other nodes (`fanout/control/control.py`) with the sessions of this node."""

from ...fanout.control.requests import CloseSessions, DeliverToSession, DeliverToUser, ListSessions, Request
from ...shared.channels import Owner, OwnerKind
from ...shared.codes import CloseCode
from ...shared.keyspace import Keyspace
from ...shared.names import AgentId, SessionId, UserId
from ...shared.publication import EncodedMessage
from ...shared.sessions import SessionInfo
from ..delivery.hub import Hub
from ..delivery.roster import Member
from .session_limits import SessionLeases, agent_of

LISTED_MAX = 1000
"""Sessions of one user that a node lists."""

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
            case DeliverToUser(_, _, user_id, encoded):
                return self._deliver(self._open_sessions_of(user_id), encoded), ()
            case DeliverToSession(_, _, agent_id, session_id, encoded):
                return self._deliver_to_session(agent_id, session_id, encoded), ()
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

    def _deliver(self, sessions: list[Member], encoded: EncodedMessage) -> int:
        for session in sessions:
            session.outbox.write_direct(session.encoding.encoded(encoded))
        return len(sessions)

    def _deliver_to_session(self, agent_id: AgentId, session_id: SessionId, encoded: EncodedMessage) -> int:
        roster = self._hub.rosters.get(self._keyspace.agent(agent_id).address)
        found = roster.find_session(session_id) if roster else None
        if found is None:
            return 0
        encoding, outbox = found
        outbox.write_direct(encoding.encoded(encoded))
        return 1

    def _close(self, owner: Owner, session_id: SessionId | None) -> int:
        if owner.kind is OwnerKind.USER:
            sessions = list(self._hub.sessions_of(UserId(owner.name)))
        else:
            sessions = [each for each in self._hub.sessions() if agent_of(each.session) == owner]
        closed = [each for each in sessions if session_id in (None, each.session.session_id)]
        for session in closed:
            session.close(CloseCode.DISCONNECTED)
        return len(closed)
