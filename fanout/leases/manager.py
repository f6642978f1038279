"""Places of an agent, of a user: who may connect, across all nodes, at every instant.

Redis decides, in one script per question (`lua/lease_*.lua`); here is what a node has to do about the answers. A lease
is known here from the moment it is asked for until Redis has confirmed that it is given back, so that whatever got
lost between the two is found by `restate`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection
from functools import partial

from ...shared.channels import Owner
from ...shared.codes import CloseCode
from ...shared.errors import LimitReached, Unavailable
from ...shared.keyspace import Keyspace
from ...shared.policy import LimitMode, LimitPolicy, local_share
from ...shared.sessions import CloseOrder
from ..control.requests import Evict, LeaseGranted, Notice
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..membership import Membership
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline, CommandSender
from ..scripts import LEASE_ACQUIRE, LEASE_RELEASE, LEASE_REPAIR
from .lease import Lease, incarnation_of, nobody, owner_key, owner_of, session_of
from .limits import Limits
from .registry import LeaseRegistry

ASK_AGAIN = 0.5
"""Seconds to wait for word that a place is free, before Redis is asked itself: the word may get lost."""
HEARTBEAT_WAIT = 0.1
RELEASED_AT_ONCE = 500
UNRELEASED_MAX = 10_000
"""Places to be given back that Redis has not confirmed. What is forgotten beyond that is found by `restate`."""
CONFIRMED_AT_ONCE = 50


class LeaseManager:
    """All places that this process holds or wants. `tell` sends an errand to the process of that incarnation."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        membership: Membership,
        keyspace: Keyspace,
        *,
        incarnation: str,
        limits: Limits,
        mode: LimitMode,
        tell: Callable[[str, Notice], None],
        times: LeaseTimes = DEFAULT_TIMES,
    ) -> None:
        self._pipeline = pipeline
        self._membership = membership
        self._keyspace = keyspace
        self._incarnation = incarnation
        self._limits = limits
        self._mode = mode
        self._tell = tell
        self._admission_seconds = times.admission_seconds
        self._lease_ms = times.lease_ms
        self._newest = 0
        self._known = LeaseRegistry()
        self._unreleased: dict[str, Lease] = {}
        self._to_release: deque[Lease] = deque()
        self._being_released = 0
        self._acquired = 0
        self._refused = 0
        self._evictions = 0
        self._lost = 0

    # ---- until when

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
    def lets_in_unheard(self) -> bool:
        """In `available` mode whoever has a place comes in, even if this node does not hear the bus."""
        return self._mode is LimitMode.AVAILABLE

    def expired(self) -> None:
        """The heartbeat has expired. In `strict` mode every holder is closed: others may hold their places by now."""
        if self._mode is LimitMode.STRICT:
            for lease in self._known:
                if lease.generation:
                    self._lost += 1
                    lease.on_lost(CloseOrder(CloseCode.LEASE_LOST, lease.owner))

    # ---- taking a place

    def wish(self, owner: Owner, session: str, info: bytes, on_lost: Callable[[CloseOrder], None]) -> Lease:
        """A lease to `acquire`. `session` is its name among the owner's: the same one again replaces itself."""
        self._newest += 1
        return Lease(owner, f"{self._incarnation}|{self._newest}|{session}", info, on_lost)

    async def acquire(self, lease: Lease) -> None:
        """Return when the lease is held. Whoever called owes one `release`, unless this raises.

        Raises LimitReached, or Unavailable where Redis is away or no place became free in `admission_seconds`.
        """
        self._known.add(lease)
        try:
            await self._wait_for_redis(lease)
            async with asyncio.timeout(self._admission_seconds):
                await self._take(lease)
        except LimitReached:
            self._refused += 1
            self._known.discard(lease)
            raise
        except Unavailable:
            if not self._let_in(lease):
                self.release(lease)
                raise
        except TimeoutError:
            self.release(lease)
            raise Unavailable(f"no place of {lease.owner.kind} {lease.owner.name} became free in time") from None
        except asyncio.CancelledError:
            self.release(lease)
            raise
        self._acquired += 1

    async def _wait_for_redis(self, lease: Lease) -> None:
        """Where Redis is away it is not asked, so that nothing has to be taken back. Raises Unavailable."""
        if not self._pipeline.connected.is_set():
            try:
                async with asyncio.timeout(self._pipeline.command_timeout):
                    await self._pipeline.connected.wait()
            except TimeoutError:
                raise Unavailable("Redis takes no commands") from None
        lease.was_asked = True

    async def _take(self, lease: Lease) -> None:
        was_told_to_wait = False
        while True:
            term = self._membership.term
            lease.turn.clear()
            match await self._ask(lease, again=was_told_to_wait):
                case [b"held", generation]:
                    # After an expiry in the meantime another node may have taken it over.
                    if self._membership.term == term and self._membership.is_valid:
                        lease.generation = str(generation, "ascii")
                        return
                    self._membership.hurry()
                    await self._wait_for_turn(lease, HEARTBEAT_WAIT)
                case [b"full", count, max_sessions]:
                    raise LimitReached(lease.owner.kind, lease.owner.name, int(count), int(max_sessions))
                case [b"wait", victim, displaced, count, _]:
                    was_told_to_wait = True
                    for other in (victim, displaced):
                        if other:
                            self._send_away(lease, str(other, "utf-8"), int(count))
                    await self._wait_for_turn(lease, ASK_AGAIN)
                case [b"recovering", milliseconds]:
                    was_told_to_wait = False
                    if milliseconds < 0:
                        self._membership.hurry()
                    await self._wait_for_turn(lease, max(0.1, milliseconds / 1000) + random.uniform(0.0, 0.1))
                case [b"displaced", namesake]:
                    if self._membership.term == term:
                        # The order to close it got lost, or has not come yet.
                        lease.on_lost(CloseOrder(CloseCode.REPLACED if namesake else CloseCode.EVICTED, lease.owner))
                    raise Unavailable("a newer session took the turn of this one")
                case _:  # fenced: our own heartbeat is not there
                    was_told_to_wait = False
                    self._membership.hurry()
                    await self._wait_for_turn(lease, HEARTBEAT_WAIT)

    def _ask(self, lease: Lease, *, again: bool) -> "asyncio.Future[Reply]":
        limit = self._limits.default(lease.owner.kind)
        words = (lease.name, lease.info, limit.max_sessions, limit.policy, owner_key(lease.owner))
        return self._pipeline.run_script(LEASE_ACQUIRE, self._keys(lease.owner), (*words, int(again), self._lease_ms))

    async def _wait_for_turn(self, lease: Lease, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await lease.turn.wait()
        except TimeoutError:
            pass  # Redis knows how things stand

    def _send_away(self, newcomer: Lease, other: str, count: int) -> None:
        same = session_of(other) == newcomer.session
        code = CloseCode.REPLACED if same else CloseCode.EVICTED
        self._tell(incarnation_of(other), Evict(newcomer.owner, other, code, count, newcomer.session))

    def _let_in(self, lease: Lease) -> bool:
        """In `available` mode a node that can't ask lets a few in by itself."""
        if self._mode is LimitMode.STRICT or self._pipeline.connected.is_set():
            return False
        local = sum(1 for other in self._known.of(lease.owner).values() if other.is_local)
        limit = self._limits.default(lease.owner.kind).max_sessions
        lease.is_local = limit == 0 or local < local_share(limit, self._membership.nodes_alive)
        return lease.is_local

    # ---- giving it back

    def release(self, lease: Lease) -> None:
        """Give a place back, or stop wanting one; repeated until Redis has confirmed it."""
        self._known.discard(lease)
        if not lease.was_asked or lease.name in self._unreleased:
            return
        if len(self._unreleased) < UNRELEASED_MAX:
            self._unreleased[lease.name] = lease
            self._to_release.append(lease)
            self.release_again()

    def release_again(self) -> None:
        """What Redis has not confirmed, the oldest first, and never too many at once."""
        while self._to_release and self._being_released < RELEASED_AT_ONCE and self._pipeline.connected.is_set():
            lease = self._to_release.popleft()
            self._being_released += 1
            arguments = (lease.name, lease.generation)
            released = self._pipeline.run_script(LEASE_RELEASE, self._keys(lease.owner), arguments)
            released.add_done_callback(partial(self._released, lease))

    def _released(self, lease: Lease, done: "asyncio.Future[Reply]") -> None:
        self._being_released -= 1
        if isinstance(done.exception(), Unavailable):
            self._to_release.append(lease)
            return
        del self._unreleased[lease.name]
        if granted := str(done.result(), "utf-8"):
            self._grant(lease.owner, granted)
        self.release_again()

    def _grant(self, owner: Owner, lease: str) -> None:
        self._tell(incarnation_of(lease), LeaseGranted(owner, lease))

    # ---- what other nodes want

    def run_errand(self, errand: Notice) -> None:
        lease = self._known.of(errand.owner).get(errand.lease)
        match errand:
            case LeaseGranted(owner, name):
                if lease is not None:
                    lease.turn.set()
                elif name not in self._unreleased:
                    self._release_unheard_of(owner, name)
            case Evict(owner, name, code, count, displaced_by):
                if lease is not None:
                    self._evictions += 1
                    lease.on_lost(CloseOrder(code, owner, count, displaced_by))
                elif name not in self._unreleased:
                    self._release_unheard_of(owner, name)

    def _release_unheard_of(self, owner: Owner, name: str) -> None:
        """Redis believes that we hold it. Nobody else can tell it otherwise."""
        self.release(Lease(owner, name, b"", nobody, was_asked=True))

    # ---- repair

    async def restate(self, bus: CommandSender, partitions: Collection[int], adding: bool) -> None:
        """Tell Redis what this process holds there. What it has too many of goes; what it lacks is added, or lost.

        Raises Unavailable, or what the bus raises.
        """
        for part in partitions:
            owners = self._known.owners_in(part)
            owners.update(
                map(owner_of, await bus.send("SMEMBERS", self._keyspace.owners_of_node(part, self._incarnation)))
            )
            await asyncio.gather(*(self._restate_owner(bus, owner, adding) for owner in owners))

    async def _restate_owner(self, bus: CommandSender, owner: Owner, adding: bool) -> None:
        leases = dict(self._known.of(owner))
        stated = [word for lease in leases.values() for word in (lease.name, lease.generation, lease.info)]
        limit = self._limits.default(owner.kind)
        about = (self._incarnation, owner_key(owner), limit.max_sessions, limit.policy)
        arguments = (*about, int(adding), self._newest, *stated)
        answer = await bus.run_script(LEASE_REPAIR, self._keys(owner), arguments)
        missing, granted, surplus, policy, count = answer
        for name in missing:
            self._was_lost(leases[str(name, "utf-8")])
        for name in granted:
            self._grant(owner, str(name, "utf-8"))
        self._limits.send_surplus_away(owner, surplus, LimitPolicy(str(policy, "ascii")), count)

    def _was_lost(self, lease: Lease) -> None:
        """Redis has given the place away, or forgotten it."""
        if self._mode is LimitMode.AVAILABLE:
            lease.is_local, lease.generation = True, ""
        elif lease.name not in self._unreleased:
            self._lost += 1
            lease.on_lost(CloseOrder(CloseCode.LEASE_LOST, lease.owner))

    async def confirm_local(self) -> None:
        """Ask for the places of those that were let in while Redis was away. Raises Unavailable."""
        local = [lease for lease in self._known if lease.is_local]
        for first in range(0, len(local), CONFIRMED_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._confirm(lease)) for lease in local[first : first + CONFIRMED_AT_ONCE]]
            if not all(task.result() for task in asked):
                raise Unavailable("not all places could be confirmed")

    async def _confirm(self, lease: Lease) -> bool:
        """False where Redis did not answer."""
        if lease not in self._known:
            return True  # gone while those before it were asked for
        lease.was_asked = True
        try:
            async with asyncio.timeout(ASK_AGAIN):
                await self._take(lease)
        except TimeoutError:
            return True  # its turn will come; asked again with the next repair
        except LimitReached as full:
            lease.on_lost(CloseOrder(CloseCode.TRY_AGAIN_LATER, lease.owner, full.count))
            return True
        except Unavailable:
            return lease not in self._known
        lease.is_local = False
        if lease not in self._known:
            self.release(lease)
        return True

    def _keys(self, owner: Owner) -> tuple[bytes, ...]:
        return self._keyspace.leases(owner, self._incarnation)

    def statistics(self) -> dict[str, int]:
        return {
            "known": len(self._known),
            "unreleased": len(self._unreleased),
            "acquired": self._acquired,
            "refused": self._refused,
            "evict_orders": self._evictions,
            "lost": self._lost,
        }
