"""Leases of agents and users: how many sessions each of them has, on all nodes together, at every instant.

Redis decides, in one script per question (`lua/lease_*.lua`). This is what a node does about the answers. A lease is
registered here from before Redis is asked for it until it is released, and a release is repeated until Redis confirms
it; what still gets lost between the two is found by `restate`.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ...shared.channels import Owner
from ...shared.codes import CloseCode
from ...shared.errors import LimitReached, Unavailable
from ...shared.policy import LimitMode, local_share
from ...shared.sessions import CloseOrder
from ..batches import batched
from ..control.requests import Evict, LeaseGranted, Notice
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..membership import Membership
from ..redis.pipeline import CommandSender
from .acquirer import ASK_AGAIN_SECONDS, LeaseAcquirer
from .calls import LeaseCalls
from .lease import Lease
from .limits import Limits
from .registry import LeaseRegistry
from .releases import ReleaseQueue
from .restating import LeaseRestating

CONFIRM_AT_ONCE = 50
"""Local leases that are confirmed together: as many tasks run at a time."""


@dataclass(frozen=True, slots=True)
class LeaseManagerStatistics:
    known: int
    """Leases that are held or being acquired."""
    unreleased: int
    """Releases that Redis has not confirmed."""
    acquired: int
    """Leases acquired since the start."""
    refused: int
    """Sessions refused since the start, because the limit was reached."""
    evict_orders: int
    """Sessions closed since the start, because another session got the lease."""
    lost: int
    """Leases lost since the start: the heartbeat expired, or Redis did not have them any more."""


class LeaseManager:
    """All leases of this process. `send_notice` sends a notice to the process of an incarnation."""

    def __init__(
        self,
        calls: LeaseCalls,
        membership: Membership,
        *,
        incarnation: str,
        limits: Limits,
        mode: LimitMode,
        send_notice: Callable[[str, Notice], None],
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self._calls = calls
        self._pipeline = calls.pipeline
        self._membership = membership
        self._limits = limits
        self._mode = mode
        self._admission_seconds = times.admission_seconds
        self._registry = LeaseRegistry(incarnation)
        self._acquirer = LeaseAcquirer(calls, membership, limits, send_notice)
        self._releases = ReleaseQueue(calls, send_notice)
        self._restating = LeaseRestating(calls, self._registry, limits, self._releases, self._on_missing)
        self._acquired = 0
        self._refused = 0
        self._evictions = 0
        self._lost = 0

    # ---- fencing

    def fence_if_expired(self) -> bool:
        """Close the sessions that hold leases if the heartbeat has expired; return whether they may not be served.

        The act of self-fencing. Each entry of the event loop into this process's sockets begins with it: a batch from
        the bus, input of a socket, a timer, a slice of a large delivery. In `available` mode nothing is fenced.
        """
        return self._mode is LimitMode.STRICT and self._membership.fence_if_expired()

    @property
    def may_serve(self) -> bool:
        """Whether sessions that hold leases may be served. A question without effect, for what runs behind an entry.

        Where it is False, `fence_if_expired` has closed them, or the timer of the expiry will before it can be True.
        """
        return self._mode is LimitMode.AVAILABLE or self._membership.is_valid

    @property
    def admits_without_bus(self) -> bool:
        """In `available` mode a session with a lease is admitted even if this node does not receive from the bus."""
        return self._mode is LimitMode.AVAILABLE

    def on_expired(self) -> None:
        """The heartbeat has expired. In `strict` mode every holder is closed: others may hold their leases by now."""
        if self._mode is LimitMode.STRICT:
            for lease in self._registry:
                if lease.generation:
                    self._lost += 1
                    lease.on_lost(CloseOrder(CloseCode.LEASE_LOST, lease.owner))

    # ---- acquiring

    def new_lease(self, owner: Owner, session: str, info: bytes, on_lost: Callable[[CloseOrder], None]) -> Lease:
        """A lease to `acquire`. `session` is its name among the owner's: the same one again replaces itself."""
        return self._registry.new_lease(owner, session, info, on_lost)

    async def acquire(self, lease: Lease) -> None:
        """Return when the lease is held. The caller then owes one `release`, unless this raises.

        Raises LimitReached, or Unavailable where Redis is away or grants no lease within `admission_seconds`.
        """
        self._registry.add(lease)
        try:
            await self._wait_for_redis(lease)
            async with asyncio.timeout(self._admission_seconds):
                await self._acquirer.acquire(lease)
        except LimitReached:
            self._refused += 1
            self._registry.discard(lease)
            raise
        except Unavailable:
            if not self._admit_locally(lease):
                self.release(lease)
                raise
        except TimeoutError:
            self.release(lease)
            raise Unavailable(f"no lease of {lease.owner.kind} {lease.owner.name} became free in time") from None
        except asyncio.CancelledError:
            self.release(lease)
            raise
        self._acquired += 1

    async def _wait_for_redis(self, lease: Lease) -> None:
        """Ask nothing while Redis is away, so that nothing has to be released afterwards. Raises Unavailable."""
        if not self._pipeline.connected.is_set():
            try:
                async with asyncio.timeout(self._pipeline.command_timeout):
                    await self._pipeline.connected.wait()
            except TimeoutError:
                raise Unavailable("Redis takes no commands") from None
        lease.was_requested = True

    def _admit_locally(self, lease: Lease) -> bool:
        """In `available` mode, while Redis is away, grant a few leases without it (`local_share`)."""
        if self._mode is LimitMode.STRICT or self._pipeline.connected.is_set():
            return False
        local = sum(1 for other in self._registry.leases_of(lease.owner).values() if other.is_local)
        limit = self._limits.default(lease.owner.kind).max_sessions
        lease.is_local = limit == 0 or local < local_share(limit, self._membership.nodes_alive)
        return lease.is_local

    # ---- releasing

    def release(self, lease: Lease) -> None:
        """Release a lease, or stop acquiring it; repeated until Redis has confirmed it."""
        self._registry.discard(lease)
        if lease.was_requested:
            self._releases.add(lease)

    def send_pending_releases(self) -> None:
        """Repeat what Redis has not confirmed."""
        self._releases.send_pending()

    # ---- notices of other nodes

    def handle_notice(self, notice: Notice) -> None:
        """Of a lease that is not here, the release got lost: it is sent again, for no other node may send it."""
        lease = self._registry.leases_of(notice.owner).get(notice.lease)
        if lease is None:
            self._releases.add_unknown(notice.owner, notice.lease)
            return
        match notice:
            case LeaseGranted():
                lease.wake.set()
            case Evict(owner, _, code, count, displaced_by):
                self._evictions += 1
                lease.on_lost(CloseOrder(code, owner, count, displaced_by))

    # ---- anti-entropy

    async def restate(self, commands: CommandSender, partitions: Collection[int], *, add_missing: bool) -> None:
        """State to Redis the leases of this process in these partitions; see LeaseRestating.restate."""
        await self._restating.restate(commands, partitions, add_missing=add_missing)

    def _on_missing(self, lease: Lease) -> None:
        """Redis has given the lease to another session, or has forgotten it."""
        if self._mode is LimitMode.AVAILABLE:
            lease.is_local, lease.generation = True, ""
        elif lease.name not in self._releases:
            self._lost += 1
            lease.on_lost(CloseOrder(CloseCode.LEASE_LOST, lease.owner))

    async def confirm_local(self) -> None:
        """Acquire from Redis the leases that this node has granted without it. Raises Unavailable."""
        local = [lease for lease in self._registry if lease.is_local]
        for leases in batched(local, CONFIRM_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._confirm(lease)) for lease in leases]
            if not all(task.result() for task in tasks):
                raise Unavailable("not all leases could be confirmed")

    async def _confirm(self, lease: Lease) -> bool:
        """False where Redis did not answer."""
        if lease not in self._registry:
            return True  # released while those before it were confirmed
        lease.was_requested = True
        try:
            async with asyncio.timeout(ASK_AGAIN_SECONDS):
                await self._acquirer.acquire(lease)
        except TimeoutError:
            return True  # it waits for a victim; asked again with the next look of anti-entropy
        except LimitReached as full:
            lease.on_lost(CloseOrder(CloseCode.TRY_AGAIN_LATER, lease.owner, full.count))
            return True
        except Unavailable:
            return lease not in self._registry
        lease.is_local = False
        if lease not in self._registry:
            self.release(lease)
        return True

    def statistics(self) -> LeaseManagerStatistics:
        return LeaseManagerStatistics(
            known=len(self._registry),
            unreleased=len(self._releases),
            acquired=self._acquired,
            refused=self._refused,
            evict_orders=self._evictions,
            lost=self._lost,
        )
