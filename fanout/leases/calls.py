"""The lease scripts as typed calls: one method for each, and what it answers. `lua/lease_*.lua` decides."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from ...shared.channels import Owner
from ...shared.errors import MalformedBytes
from ...shared.keyspace import Keyspace, LeaseKeys
from ...shared.policy import Limit, LimitPolicy
from ...shared.sessions import SessionInfo
from ..lease_times import DEFAULT_TIMES, LeaseTimes
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline, CommandSender
from ..script_batches import ScriptBatches
from ..scripts import LEASE_ACQUIRE, LEASE_DEAD, LEASE_LIMIT, LEASE_LIST, LEASE_RELEASE, LEASE_REPAIR
from ..unreadable import UnreadableData, parse_owner_member
from .lease import Lease

LEASE_SCRIPTS = (LEASE_ACQUIRE, LEASE_RELEASE, LEASE_REPAIR, LEASE_DEAD, LEASE_LIMIT, LEASE_LIST)
"""The scripts that a pipeline has to load for these calls."""

OWNERS_PER_SWEEP = 64
"""Owners of one dead process whose leases are freed in one sweep of a partition."""


@dataclass(frozen=True, slots=True)
class Held:
    """The lease is held, under this generation."""

    generation: str


@dataclass(frozen=True, slots=True)
class Full:
    """The owner has as many sessions as it may have, and its policy is to reject."""

    count: int
    max_sessions: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The lease is granted as soon as the session of `victim` is closed; `count` sessions are there.

    `displaced` is a lease that waited for the same victim and has lost its turn: its session has to be closed too.
    """

    victim: str
    displaced: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Recovering:
    """Redis may have forgotten leases, and grants none for so long. None: its life has not been checked yet."""

    milliseconds: int | None


@dataclass(frozen=True, slots=True)
class Displaced:
    """The lease waited, and a newer session has taken over its turn: one of the same name, or another one."""

    by_same_session: bool


@dataclass(frozen=True, slots=True)
class Fenced:
    """Redis knows no valid heartbeat of this process."""


Acquired = Held | Full | Wait | Recovering | Displaced | Fenced
"""What LEASE_ACQUIRE answers."""


@dataclass(frozen=True, slots=True)
class Surplus:
    """Leases (by name) that have to be closed, because `count` are more than the limit; empty: they are not."""

    leases: list[str]
    count: int
    policy: LimitPolicy


@dataclass(frozen=True, slots=True)
class Repaired:
    """What LEASE_REPAIR found: leases that Redis does not have, waiting leases that it has granted, and the surplus."""

    missing: list[str]
    granted: list[str]
    surplus: Surplus


class LeaseCalls:
    """Every call raises Unavailable, or what `commands` raises.

    What is acquired in one loop turn goes to Redis in one call, and so does what is released: those of an owner in the
    order of the calls.
    """

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        *,
        incarnation: str,
        times: LeaseTimes = DEFAULT_TIMES,
        unreadable: UnreadableData | None = None,
    ) -> None:
        self._unreadable = unreadable or UnreadableData()
        self.pipeline = pipeline
        self._keyspace = keyspace
        self._incarnation = incarnation
        self._lease_ms = times.lease_ms
        shared = (times.lease_ms,)
        # Who connects again releases before it acquires.
        self._batches = ScriptBatches(pipeline, {LEASE_RELEASE: shared, LEASE_ACQUIRE: shared}, self._unreadable)

    async def acquire(self, lease: Lease, default: Limit, *, has_waited: bool) -> Acquired:
        """`default` holds unless the owner has a limit of its own; `has_waited`: the last answer was `Wait`."""
        owner = lease.owner
        words = (lease.name, lease.info, default.max_sessions, default.policy, owner.member, int(has_waited))
        keys = self._keys(owner)
        return parse_acquired(await self._batches.call(LEASE_ACQUIRE, keys, words, order=keys.held))

    def release(self, lease: Lease) -> "asyncio.Future[Reply]":
        """`parse_granted` reads the answer."""
        keys = self._keys(lease.owner)
        return self._batches.call(LEASE_RELEASE, keys, (lease.name, lease.generation), order=keys.held)

    async def repair(
        self,
        commands: CommandSender,
        owner: Owner,
        leases: Iterable[Lease],
        default: Limit,
        *,
        newest: int,
        add_missing: bool,
    ) -> Repaired:
        """State all leases of an owner that this process has, up to the one with the number `newest`."""
        stated = [word for lease in leases for word in (lease.name, lease.generation, lease.info)]
        about = (self._lease_ms, self._incarnation, owner.member, default.max_sessions, default.policy)
        arguments = (*about, int(add_missing), newest, *stated)
        reply = await commands.run_script(LEASE_REPAIR, self._keys(owner), arguments)
        missing, granted, surplus, policy, count = reply
        return Repaired(_names(missing), _names(granted), Surplus(_names(surplus), int(count), _policy(policy)))

    async def set_limit(self, owner: Owner, limit: Limit) -> Surplus:
        """Give an owner a limit of its own."""
        words = (self._lease_ms, limit.max_sessions, limit.policy)
        reply = await self.pipeline.run_script(LEASE_LIMIT, self._keys(owner), words)
        count, surplus = reply
        return Surplus(_names(surplus), int(count), limit.policy)

    async def list_sessions(self, owner: Owner, default: Limit) -> tuple[Limit, list[SessionInfo]]:
        """The limit that holds for an owner, and the sessions that hold its leases, oldest first."""
        words = (self._lease_ms, default.max_sessions, default.policy)
        reply = await self.pipeline.run_script(LEASE_LIST, self._keys(owner), words)
        max_sessions, policy, infos = reply
        sessions: list[SessionInfo] = []
        for info in infos:
            try:
                sessions.append(SessionInfo.parse(orjson.loads(info)))
            except (MalformedBytes, orjson.JSONDecodeError):
                self._unreadable.note(self._keyspace.leases(owner, self._incarnation).info, info)
        return Limit(int(max_sessions), _policy(policy)), sessions

    async def list_owners(self, commands: CommandSender, partition: int) -> set[Owner]:
        """The owners in a partition of which this process holds leases, as Redis knows it."""
        key = self._keyspace.owners_of_node(partition, self._incarnation)
        return await self._parse_owners(commands, key, partition, await commands.send("SMEMBERS", key))

    async def free_dead(self, partition: int, incarnation: str) -> None:
        """Free the leases that a dead process has, of OWNERS_PER_SWEEP of its owners in a partition."""
        key = self._keyspace.owners_of_node(partition, incarnation)
        members = await self.pipeline.send("SRANDMEMBER", key, OWNERS_PER_SWEEP)
        owners = await self._parse_owners(self.pipeline, key, partition, members)
        await asyncio.gather(
            *(
                self.pipeline.run_script(
                    LEASE_DEAD,
                    self._keyspace.leases(owner, incarnation),
                    (self._lease_ms, incarnation, owner.member),
                )
                for owner in owners
            )
        )

    async def _parse_owners(
        self, commands: CommandSender, key: bytes, partition: int, members: Iterable[bytes]
    ) -> set[Owner]:
        """The owners that members of a set name. What names none in this partition is removed."""
        owners = {member: parse_owner_member(member, partition) for member in members}
        await self._unreadable.remove(commands, "SREM", key, *(member for member, owner in owners.items() if not owner))
        return {owner for owner in owners.values() if owner is not None}

    def _keys(self, owner: Owner) -> LeaseKeys:
        return self._keyspace.leases(owner, self._incarnation)


def parse_acquired(reply: Reply) -> Acquired:
    match reply:
        case [b"held", generation]:
            return Held(_name(generation))
        case [b"full", count, max_sessions]:
            return Full(int(count), int(max_sessions))
        case [b"wait", victim, displaced, count, _]:
            return Wait(_name(victim), _name(displaced) or None, int(count))
        case [b"recovering", milliseconds]:
            return Recovering(None if int(milliseconds) < 0 else int(milliseconds))
        case [b"displaced", newest_of_session]:
            return Displaced(by_same_session=bool(newest_of_session))
        case [b"fenced"]:
            return Fenced()
        case _:
            raise MalformedBytes(f"an answer of lease_acquire of unknown form: {reply!r:.80}")


def parse_granted(reply: Reply) -> str | None:
    """The waiting lease to which LEASE_RELEASE has granted what was released."""
    return _name(reply) or None


def _names(leases: Iterable[bytes]) -> list[str]:
    return [_name(name) for name in leases]


def _name(lease: bytes) -> str:
    """A lease whose name is no text is none of any process: notices about it reach nobody, and it runs out."""
    return lease.decode(errors="replace")


def _policy(word: bytes) -> LimitPolicy:
    return LimitPolicy(str(word, "ascii"))
