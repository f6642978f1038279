"""The leases of one process, over a Redis and a heartbeat that the test controls."""

import asyncio
import math

from tannoy.fanout.control.requests import Notice
from tannoy.fanout.leases.calls import LeaseCalls
from tannoy.fanout.leases.lease import Lease
from tannoy.fanout.leases.limits import Limits
from tannoy.fanout.leases.manager import LeaseManager
from tannoy.fanout.membership import Membership
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE, LEASE_REPAIR
from tannoy.fanout.server_life import ServerLives
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.policy import Limit, LimitMode, LimitPolicy
from tannoy.shared.sessions import CloseOrder

from tests.support.clock import manual_clock
from tests.support.records import NODE
from tests.support.scripted_redis import ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
OWNER = Owner(OwnerKind.AGENT, "42")
MAX = 4
HELD = [b"held", b"17"]
WAIT = [b"wait", b"other|9|s9", b"", MAX, MAX]


class Heartbeat(Membership):
    """Valid until the test ends it; counts the requests to send one soon."""

    beats_requested = 0

    def beat_soon(self) -> None:
        self.beats_requested += 1

    def expire(self) -> None:
        """As after a freeze of the process: the timer of the expiry has not fired yet."""
        self.valid_until = manual_clock().monotonic()

    def renew(self) -> None:
        self.valid_until = math.inf


class ScriptedSession:
    """A session that acquires a lease, and the orders to close it."""

    def __init__(self, leases: LeaseManager, session: str, owner: Owner) -> None:
        self.close_orders: list[CloseOrder] = []
        self.lease = leases.new_lease(
            owner, session, b'{"session_id":"%s"}' % session.encode(), self.close_orders.append
        )
        self.acquiring = asyncio.create_task(leases.acquire(self.lease))


class ScriptedLeases:
    """The leases of the process `me`. `notices` are those it has sent, each with the incarnation it went to."""

    def __init__(self, *, mode: LimitMode = LimitMode.STRICT, policy: LimitPolicy = LimitPolicy.REJECT) -> None:
        self.redis = ScriptedPipeline()
        self.redis.reply_with(LEASE_ACQUIRE, HELD)
        self.redis.reply_with(LEASE_RELEASE, b"")
        self.redis.reply_with(LEASE_REPAIR, [[], [], [], b"reject", 0])
        self.redis.reply_with("SMEMBERS", [])
        self.notices: list[tuple[str, Notice]] = []
        self.heartbeat = Heartbeat(
            KEYSPACE,
            ServerLives(KEYSPACE, clock=manual_clock()),
            incarnation="me",
            clock=manual_clock(),
            describe=lambda: NODE,
        )
        self.heartbeat.renew()
        calls = LeaseCalls(self.redis, KEYSPACE, incarnation="me")
        defaults = {OwnerKind.AGENT: Limit(MAX, policy), OwnerKind.USER: Limit(0, LimitPolicy.REJECT)}
        self.limits = Limits(calls, defaults=defaults, send_notice=self._note)
        self.leases = LeaseManager(
            calls, self.heartbeat, incarnation="me", limits=self.limits, mode=mode, send_notice=self._note
        )
        self.heartbeat.attach(self.leases)

    def _note(self, incarnation: str, notice: Notice) -> None:
        self.notices.append((incarnation, notice))

    def start(self, session: str = "s1", owner: Owner = OWNER) -> ScriptedSession:
        return ScriptedSession(self.leases, session, owner)

    async def connect(self, session: str = "s1", owner: Owner = OWNER) -> ScriptedSession:
        started = self.start(session, owner)
        await started.acquiring
        return started

    @property
    def has_waited(self) -> list[bytes]:
        """The argument `has_waited` of each request for a lease so far."""
        return [words[5] for words in self.redis.arguments_of(LEASE_ACQUIRE)]

    @property
    def released(self) -> list[str]:
        return [words[0].decode() for words in self.redis.arguments_of(LEASE_RELEASE)]

    def counts(self, *names: str) -> list[int]:
        return [getattr(self.leases.statistics(), name) for name in names]


def now() -> float:
    return manual_clock().monotonic()


def generation(lease: Lease) -> str:
    """As it is now; read through a call, so that type checkers do not keep what was true before an await."""
    return lease.generation
