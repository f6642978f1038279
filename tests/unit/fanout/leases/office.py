"""One process's leases, with Redis and the heartbeat in the test's hand."""

import asyncio
import math
from collections.abc import Collection

from tannoy.fanout.control.requests import Notice
from tannoy.fanout.leases.lease import Lease
from tannoy.fanout.leases.limits import Limits
from tannoy.fanout.leases.manager import LeaseManager
from tannoy.fanout.membership import Membership
from tannoy.fanout.redis.pipeline import CommandSender
from tannoy.fanout.scripts import LEASE_ACQUIRE, LEASE_RELEASE, LEASE_REPAIR
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
    """Holds until the test takes it away; counts how often it is asked to hurry."""

    hurried = 0

    def hurry(self) -> None:
        self.hurried += 1

    def fence(self) -> None:
        """It has run out, and nobody has noticed yet."""
        self.valid_until = manual_clock().monotonic()

    def come_back(self) -> None:
        self.valid_until = math.inf


class Guest:
    """Somebody who wants a place, and what becomes of it."""

    def __init__(self, leases: LeaseManager, session: str, owner: Owner) -> None:
        self.losses: list[CloseOrder] = []
        self.lease = leases.wish(owner, session, b'{"session_id":"%s"}' % session.encode(), self.losses.append)
        self.arrival = asyncio.create_task(leases.acquire(self.lease))


class Office:
    """One process's leases. `told` is who was sent on which errand."""

    def __init__(self, *, mode: LimitMode = LimitMode.STRICT, policy: LimitPolicy = LimitPolicy.REJECT) -> None:
        self.redis = ScriptedPipeline()
        self.redis.say(LEASE_ACQUIRE, HELD)
        self.redis.say(LEASE_RELEASE, b"")
        self.redis.say(LEASE_REPAIR, [[], [], [], b"reject", 0])
        self.redis.say("SMEMBERS", [])
        self.told: list[tuple[str, Notice]] = []
        self.heartbeat = Heartbeat(
            KEYSPACE,
            incarnation="me",
            clock=manual_clock(),
            restate=self._restate,
            on_expired=lambda: self.leases.expired(),
            describe=lambda: NODE,
        )
        self.heartbeat.come_back()
        self.limits = Limits(
            self.redis,
            KEYSPACE,
            incarnation="me",
            defaults={OwnerKind.AGENT: Limit(MAX, policy), OwnerKind.USER: Limit(0, LimitPolicy.REJECT)},
            tell=lambda incarnation, errand: self.told.append((incarnation, errand)),
        )
        self.leases = LeaseManager(
            self.redis,
            self.heartbeat,
            KEYSPACE,
            incarnation="me",
            limits=self.limits,
            mode=mode,
            tell=lambda incarnation, errand: self.told.append((incarnation, errand)),
        )

    async def _restate(self, bus: CommandSender, partitions: Collection[int], adding: bool) -> None:
        await self.leases.restate(bus, partitions, adding)

    def comes(self, session: str = "s1", owner: Owner = OWNER) -> Guest:
        return Guest(self.leases, session, owner)

    async def admitted(self, session: str = "s1", owner: Owner = OWNER) -> Guest:
        guest = self.comes(session, owner)
        await guest.arrival
        return guest

    @property
    def asked_again(self) -> list[bytes]:
        """Of each time that a place was asked for: whether it was told to wait before."""
        return [words[5] for words in self.redis.asked(LEASE_ACQUIRE)]

    @property
    def released(self) -> list[str]:
        return [words[0].decode() for words in self.redis.asked(LEASE_RELEASE)]

    def counts(self, *names: str) -> list[int]:
        return [self.leases.statistics()[name] for name in names]


def now() -> float:
    return manual_clock().monotonic()


def generation(lease: Lease) -> str:
    """Read anew: what was true of it before an await may not be true any more."""
    return lease.generation
