"""Acquire a lease from Redis: what each of its answers means for a session, until the session holds the lease."""

import random
from collections.abc import Callable

from ...shared.codes import CloseCode
from ...shared.errors import LimitReached, Unavailable
from ...shared.sessions import CloseOrder
from ...shared.waiting import wait_up_to
from ..control.requests import Evict, Notice
from ..membership import Membership
from .calls import Displaced, Fenced, Full, Held, LeaseCalls, Recovering, Wait
from .lease import Lease, incarnation_of, session_of
from .limits import Limits

ASK_AGAIN_SECONDS = 0.5
"""A waiting lease asks Redis again after this time, because the notice that it has been granted may get lost."""
HEARTBEAT_WAIT_SECONDS = 0.1
"""Until Redis is asked again where a heartbeat has to come first; it was asked for at once."""
RECOVERY_SPREAD_SECONDS = 0.1
"""By which handshakes that wait for a recovering Redis are spread: all nodes see its recovery end at once."""


class LeaseAcquirer:
    """`send_notice` sends a notice to the process of an incarnation."""

    def __init__(
        self,
        calls: LeaseCalls,
        membership: Membership,
        limits: Limits,
        send_notice: Callable[[str, Notice], None],
    ) -> None:
        self._calls = calls
        self._membership = membership
        self._limits = limits
        self._send_notice = send_notice

    async def acquire(self, lease: Lease) -> None:
        """Ask Redis until the lease is held. Raises LimitReached, and Unavailable where a newer session has its turn.

        A lease counts as held only if the heartbeat has not expired since before Redis was asked (`term` tells):
        after an expiry another node may have taken it over by the time the answer is read. Asking is idempotent, so
        an answer that got lost, or a notice, costs no more than another round.
        """
        has_waited = False
        while True:
            term = self._membership.term
            lease.wake.clear()
            match await self._calls.acquire(lease, self._limits.default(lease.owner.kind), has_waited=has_waited):
                case Held(generation):
                    if self._membership.term == term and self._membership.is_valid:
                        lease.generation = generation
                        return
                    self._membership.beat_soon()
                    await wait_up_to(HEARTBEAT_WAIT_SECONDS, lease.wake)
                case Full(count, max_sessions):
                    raise LimitReached(lease.owner.kind, lease.owner.name, count, max_sessions)
                case Wait(victim, displaced, count):
                    has_waited = True
                    self._send_evict(lease, victim, count)
                    if displaced is not None:
                        self._send_evict(lease, displaced, count)
                    await wait_up_to(ASK_AGAIN_SECONDS, lease.wake)
                case Recovering(milliseconds):
                    has_waited = False
                    if milliseconds is None:
                        self._membership.beat_soon()  # a heartbeat that finds no server life has it made
                    seconds = max(HEARTBEAT_WAIT_SECONDS, (milliseconds or 0) / 1000)
                    await wait_up_to(seconds + random.uniform(0.0, RECOVERY_SPREAD_SECONDS), lease.wake)
                case Displaced(by_same_session):
                    if self._membership.term == term:
                        # The notice to close this session got lost, or has not come yet.
                        code = CloseCode.REPLACED if by_same_session else CloseCode.EVICTED
                        lease.on_lost(CloseOrder(code, lease.owner))
                    raise Unavailable("a newer session took the turn of this one")
                case Fenced():
                    has_waited = False
                    self._membership.beat_soon()
                    await wait_up_to(HEARTBEAT_WAIT_SECONDS, lease.wake)

    def _send_evict(self, newcomer: Lease, victim: str, count: int) -> None:
        same = session_of(victim) == newcomer.session
        code = CloseCode.REPLACED if same else CloseCode.EVICTED
        self._send_notice(incarnation_of(victim), Evict(newcomer.owner, victim, code, count, newcomer.session))
