"""The places that this node's sessions hold under the limits of their agent and user, and why they lost them."""

from collections.abc import Callable, Iterable

import orjson

from ...fanout.disconnects import DisconnectLog
from ...fanout.leases.lease import Lease
from ...fanout.leases.limits import Limits
from ...fanout.leases.manager import LeaseManager
from ...shared.channels import Owner, OwnerKind
from ...shared.clock import Clock, rfc3339
from ...shared.codes import CLOSE_RULES, CloseCode, DisconnectRule
from ...shared.names import NodeId
from ...shared.sessions import CloseOrder, Disconnect, SessionInfo
from ..auth.identity import is_guest
from ..protocols.session import Endpoint, Session

_RULES = {
    CloseCode.TRY_AGAIN_LATER: DisconnectRule.BUS,
    CloseCode.TOO_SLOW: DisconnectRule.OUTBOX_MAX_BYTES,
    CloseCode.LEASE_LOST: DisconnectRule.LEASE,
    CloseCode.EVICTED: DisconnectRule.AGENT_MAX_SESSIONS,
    CloseCode.DISCONNECTED: DisconnectRule.OPERATOR,
    CloseCode.REPLACED: DisconnectRule.SAME_SESSION,
}
"""What is remembered; any other end was the client's own doing, or everybody's."""
_BY_LIMIT = (CloseCode.TRY_AGAIN_LATER, CloseCode.EVICTED)
_LIMITS = {OwnerKind.AGENT: DisconnectRule.AGENT_MAX_SESSIONS, OwnerKind.USER: DisconnectRule.USER_MAX_SESSIONS}
"""Where it was counted against a limit, the owner tells against whose."""


def agent_of(session: Session) -> Owner | None:
    if session.endpoint is not Endpoint.AGENT:
        return None
    assert session.home is not None
    return Owner(OwnerKind.AGENT, session.home.name)


class SessionLeases:
    """What connections ask before they let anything in or out."""

    def __init__(
        self, leases: LeaseManager, limits: Limits, disconnects: DisconnectLog, *, node_id: NodeId, clock: Clock
    ) -> None:
        self._leases = leases
        self._disconnects = disconnects
        self._node_id = node_id
        self._clock = clock
        self._limits_users = limits.default(OwnerKind.USER).max_sessions > 0

    def are_limited(self, session: Session) -> bool:
        return self._limits_users or session.endpoint is Endpoint.AGENT

    @property
    def let_in_unheard(self) -> bool:
        """Whether those who have a place come in even while this node does not hear the bus."""
        return self._leases.admits_without_bus

    def fence_if_expired(self) -> bool:
        """Close the sessions that hold leases if the heartbeat has expired; return whether they may not be served."""
        return self._leases.fence_if_expired()

    @property
    def may_serve(self) -> bool:
        """Whether this node may serve sessions that hold leases; without effect."""
        return self._leases.may_serve

    async def take(
        self, session: Session, connected_at: float, lose: Callable[[CloseOrder], None]
    ) -> tuple[Lease, ...]:
        """The session's places; `lose` is called when one is lost. Raises LimitReached and Unavailable."""
        info = orjson.dumps(self.describe(session, connected_at).as_object())
        held: list[Lease] = []
        try:
            for owner, name in self._claims(session):
                lease = self._leases.new_lease(owner, name, info, lose)
                await self._leases.acquire(lease)
                held.append(lease)
        except BaseException:
            self.give_back(held)
            raise
        return tuple(held)

    def _claims(self, session: Session) -> Iterable[tuple[Owner, str]]:
        """Whose limits the session counts against, and its name there."""
        agent = agent_of(session)
        if self._limits_users:
            # Two agents may each have a session of the same name.
            name = session.session_id if agent is None else f"{agent.name}/{session.session_id}"
            yield Owner(OwnerKind.USER, session.user_id), name
        if agent is not None:
            yield agent, session.session_id

    def give_back(self, leases: Iterable[Lease]) -> None:
        """Once nothing more reaches the session's socket."""
        for lease in leases:
            self._leases.release(lease)

    def describe(self, session: Session, connected_at: float) -> SessionInfo:
        agent = agent_of(session)
        return SessionInfo(
            session_id=session.session_id,
            user_id=session.user_id,
            username=session.username,
            node=self._node_id,
            connected_at=rfc3339(connected_at),
            agent_id=None if agent is None else agent.name,
        )

    def remember(self, session: Session, code: CloseCode, closing: CloseOrder | None) -> None:
        """Why the session was refused or closed, for those who ask its agent or its user about it."""
        rule = _LIMITS[closing.owner.kind] if closing is not None and code in _BY_LIMIT else _RULES.get(code)
        if rule is None:
            return
        displaced_by = None if closing is None or not closing.displaced_by else closing.displaced_by.rpartition("/")[2]
        disconnect = Disconnect(
            at=rfc3339(self._clock.now()),
            session_id=session.session_id,
            code=int(code),
            reason=CLOSE_RULES[code].reason,
            rule=rule.value,
            count=None if closing is None else closing.count,
            node=self._node_id,
            displaced_by=displaced_by,
        )
        owners = [owner for owner in (agent_of(session),) if owner is not None]
        if not is_guest(session.user_id):  # nobody knows a made-up name that could ask for it
            owners.append(Owner(OwnerKind.USER, session.user_id))
        self._disconnects.remember(owners, disconnect)
