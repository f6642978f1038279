"""The leases that this node's sessions hold under the limits of their agent and user, and why they were closed."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import orjson

from ...fanout.disconnects import DisconnectLog
from ...fanout.leases.lease import Lease
from ...fanout.leases.limits import Limits
from ...fanout.leases.manager import LeaseManager
from ...shared.channels import Owner, OwnerKind
from ...shared.clock import Clock, rfc3339
from ...shared.codes import CLOSE_RULES, CloseCode, DisconnectRule
from ...shared.errors import LimitReached, Refused
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
    CloseCode.BAD_TOKEN: DisconnectRule.REVOCATION,
    CloseCode.REPLACED: DisconnectRule.SAME_SESSION,
}
"""Close codes that are remembered as a disconnect; any other end was the client's own, or concerned all clients."""
_BY_LIMIT = (CloseCode.TRY_AGAIN_LATER, CloseCode.EVICTED)
_LIMITS = {OwnerKind.AGENT: DisconnectRule.AGENT_MAX_SESSIONS, OwnerKind.USER: DisconnectRule.USER_MAX_SESSIONS}
"""The rule of a close by a limit, by the kind of its owner."""


def agent_of(session: Session) -> Owner | None:
    if session.endpoint is not Endpoint.AGENT:
        return None
    assert session.home is not None
    return Owner(OwnerKind.AGENT, session.home.name)


def order_of_refusal(code: CloseCode, refusal: Refused | None) -> CloseOrder | None:
    """What is remembered of a session that was refused: the limit that it met, if that was the reason."""
    if not isinstance(refusal, LimitReached):
        return None
    return CloseOrder(code, Owner(OwnerKind(refusal.kind), refusal.name), refusal.count)


class SessionLeases:
    """Acquires and releases the leases of sessions, and remembers why sessions were closed."""

    def __init__(
        self, leases: LeaseManager, limits: Limits, disconnects: DisconnectLog, *, node_id: NodeId, clock: Clock
    ) -> None:
        self._leases = leases
        self._disconnects = disconnects
        self._node_id = node_id
        self._clock = clock
        self._closed: Counter[DisconnectRule] = Counter()
        self._limits_users = limits.default(OwnerKind.USER).max_sessions > 0

    def are_limited(self, session: Session) -> bool:
        return self._limits_users or session.endpoint is Endpoint.AGENT

    def fence_if_expired(self) -> bool:
        """Close the sessions that hold leases if the heartbeat has expired; return whether they may not be served."""
        return self._leases.fence_if_expired()

    @property
    def may_serve(self) -> bool:
        """Whether this node may serve sessions that hold leases; without effect."""
        return self._leases.may_serve

    async def acquire(
        self, session: Session, connected_at: float, on_lost: Callable[[CloseOrder], None]
    ) -> tuple[Lease, ...]:
        """Acquire the session's leases; `on_lost` is called when one is lost. Raises LimitReached and Unavailable."""
        info = orjson.dumps(self.describe(session, connected_at).as_object())
        held: list[Lease] = []
        try:
            for owner, name in self._claims(session):
                lease = self._leases.new_lease(owner, name, info, on_lost)
                await self._leases.acquire(lease)
                held.append(lease)
        except BaseException:
            self.release(held)
            raise
        return tuple(held)

    def _claims(self, session: Session) -> Iterable[tuple[Owner, str]]:
        """Yield each owner whose limit the session counts against, and the session's name among the owner's."""
        agent = agent_of(session)
        if self._limits_users:
            # Two agents may each have a session of the same name.
            name = session.session_id if agent is None else f"{agent.name}/{session.session_id}"
            yield Owner(OwnerKind.USER, session.user_id), name
        if agent is not None:
            yield agent, session.session_id

    def release(self, leases: Iterable[Lease]) -> None:
        """Release leases; to be called when nothing more can reach the session's socket."""
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

    def remember(
        self, session: Session, code: CloseCode, order: CloseOrder | None, rule: DisconnectRule | None = None
    ) -> None:
        """Remember why the session was refused or closed, for `disconnects` of its agent and its user.

        `rule`: of a code that has several; None: that of the order or of the code.
        """
        if rule is None:
            rule = _LIMITS[order.owner.kind] if order is not None and code in _BY_LIMIT else _RULES.get(code)
        if rule is None:
            return
        self._closed[rule] += 1
        displaced_by = None if order is None or not order.displaced_by else order.displaced_by.rpartition("/")[2]
        disconnect = Disconnect(
            at=rfc3339(self._clock.now()),
            session_id=session.session_id,
            code=int(code),
            reason=CLOSE_RULES[code].reason,
            rule=rule.value,
            count=None if order is None else order.count,
            node=self._node_id,
            displaced_by=displaced_by,
        )
        owners = [owner for owner in (agent_of(session),) if owner is not None]
        if not is_guest(session.user_id):  # a guest's ID is random: no log is read by it
            owners.append(Owner(OwnerKind.USER, session.user_id))
        self._disconnects.remember(owners, disconnect)

    def statistics(self) -> Mapping[str, int]:
        """How many sessions were refused or closed by each rule, since the start."""
        return {rule.value: self._closed[rule] for rule in DisconnectRule}
