"""The leases of one agent in a real Redis, read and changed through the lease scripts."""

import itertools
from collections.abc import Sequence
from typing import Any

from tannoy.fanout.heartbeats import parse_heartbeat
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import (
    HEARTBEAT,
    LEASE_ACQUIRE,
    LEASE_DEAD,
    LEASE_LIMIT,
    LEASE_LIST,
    LEASE_RELEASE,
    LEASE_REPAIR,
    SERVER_ENSURE,
)
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace, LeaseKeys

from tests.support.valkey import Valkey

OWNER = Owner(OwnerKind.AGENT, "42")
_prefixes = itertools.count(1)
ALIVE_MS = 60_000


class OwnerLeases:
    """The leases of one agent under a prefix of its own, read and changed through the scripts."""

    def __init__(self, valkey: Valkey, *, max: int, policy: str) -> None:
        self._valkey = valkey
        self.keyspace = Keyspace(f"leases-{next(_prefixes)}")
        self._max, self._policy = max, policy

    def keys(self, node: str) -> LeaseKeys:
        """As this node passes them to a script."""
        return self.keyspace.leases(OWNER, node)

    async def _run(self, script: Script, keys: Sequence[bytes], *arguments: str | int) -> Any:
        return await self._valkey.run("EVAL", script.source, str(len(keys)), *keys, *map(str, arguments))

    async def identify_server(self, *, wait_ms: int = 0) -> None:
        """As every new connection of a node does."""
        await self._run(SERVER_ENSURE, [self.keyspace.server(OWNER.partition)], wait_ms)

    async def send_heartbeats(self, *nodes: str, ms: int = ALIVE_MS) -> list[str]:
        """Returns the previous state of each node."""
        return [(await self._beat(node, ms))[0].decode() for node in nodes]

    async def losses(self, node: str) -> int:
        """How often keys of the partition were found to be lost, as the heartbeat of this node returns it."""
        return parse_heartbeat(await self._beat(node, ALIVE_MS)).losses

    async def _beat(self, node: str, ms: int) -> list[Any]:
        part = OWNER.partition
        keys = [self.keyspace.heartbeats(part), self.keyspace.server(part)]
        answers: list[list[Any]] = await self._run(HEARTBEAT, keys, node, ms)
        return answers[0]

    async def delete(self, *keys: str, node: str = "n1") -> None:
        """Delete these of the keys that `node` passes to a script, as an eviction or a clean-up script does."""
        await self._valkey.run("DEL", *(getattr(self.keys(node), key) for key in keys))

    async def begin_recovery(self) -> None:
        """As a server does that may have lost data: it grants no leases until all nodes have stated theirs."""
        until = DEFAULT_TIMES.lease_ms + 1000 * (await self._valkey.run("TIME"))[0]
        await self._valkey.run("HSET", self.keys("n1").server, "until", str(until))

    async def end_recovery(self) -> None:
        """Let the time be over in which nodes state the leases of an owner whose keys were lost."""
        await self._valkey.run("HSET", self.keys("n1").server, f"lost|{OWNER.kind}:{OWNER.name}", "1")

    async def listed(self) -> tuple[int, str, int]:
        """Limit, policy, and the number of sessions that are listed."""
        words = (DEFAULT_TIMES.lease_ms, self._max, self._policy)
        max_sessions, policy, infos = await self._run(LEASE_LIST, self.keys("n1"), *words)
        return int(max_sessions), policy.decode(), len(infos)

    async def end_heartbeat(self, node: str) -> None:
        """The node counts as dead."""
        await self._valkey.run("ZADD", self.keyspace.heartbeats(OWNER.partition), "1", node)

    async def acquire(self, lease: str, *, again: bool = False) -> list[str]:
        owner = f"{OWNER.kind}:{OWNER.name}"
        arguments = (DEFAULT_TIMES.lease_ms, lease, "{}", self._max, self._policy, owner, int(again))
        [answer] = await self._run(LEASE_ACQUIRE, self.keys(_node_of(lease)), *arguments)
        return [part.decode() if isinstance(part, bytes) else str(part) for part in answer]

    async def release(self, lease: str, generation: str = "") -> str:
        """Returns the waiting lease that was granted, or an empty string."""
        words = (DEFAULT_TIMES.lease_ms, lease, generation)
        [answer] = await self._run(LEASE_RELEASE, self.keys(_node_of(lease)), *words)
        return str(answer.decode())

    async def repair(
        self, node: str, *stated: tuple[str, str], adding: bool = False, newest: int = 1000
    ) -> list[list[str]]:
        """`stated`: (lease, generation). Returns missing, granted, surplus."""
        words = [word for lease, generation in stated for word in (lease, generation, "{}")]
        owner = f"{OWNER.kind}:{OWNER.name}"
        about: tuple[str | int, ...] = (node, owner, self._max, self._policy, int(adding), newest)
        answer = await self._run(LEASE_REPAIR, self.keys(node), DEFAULT_TIMES.lease_ms, *about, *words)
        return [[lease.decode() for lease in leases] for leases in answer[:3]]

    async def free_dead(self, node: str) -> int:
        """As the sweeper of any other node does. Returns how many leases were freed."""
        words = (DEFAULT_TIMES.lease_ms, node, f"{OWNER.kind}:{OWNER.name}")
        return int(await self._run(LEASE_DEAD, self.keys(node), *words))

    async def owners(self, node: str) -> set[bytes]:
        """The owners by which what this node has left is found."""
        return set(await self._valkey.run("SMEMBERS", self.keys(node).owners))

    async def set_limit(self, max: int, policy: str) -> list[str]:
        """Returns the surplus leases."""
        _, surplus = await self._run(LEASE_LIMIT, self.keys("n1"), DEFAULT_TIMES.lease_ms, max, policy)
        return [lease.decode() for lease in surplus]

    async def held(self) -> list[str]:
        """Oldest first."""
        return [lease.decode() for lease in await self._valkey.run("ZRANGE", self.keys("n1").held, "0", "-1")]

    async def descriptions(self) -> set[str]:
        """The leases that are described."""
        return {lease.decode() for lease in await self._valkey.run("HKEYS", self.keys("n1").info)}

    async def note_waiting(self, newcomer: str, victim: str) -> None:
        """As it is noted of a lease that waits; one that was granted is so no longer, unless Redis has refused that."""
        notes = (f"n|{newcomer}", victim, f"v|{victim}", newcomer, f"g|{newcomer}", "1")
        await self._valkey.run("HSET", self.keys("n1").state, *notes)

    async def state(self) -> set[str]:
        """The fields of `state` (lease_common.lua)."""
        return {field.decode() for field in await self._valkey.run("HKEYS", self.keys("n1").state)}

    async def existing_keys(self) -> set[str]:
        """Those keys of the owner, as node n1 passes them, that exist."""
        keys = self.keys("n1")._asdict().items()
        return {name for name, key in keys if await self._valkey.run("EXISTS", key)}

    async def leftovers(self) -> int:
        """Holders, waiting newcomers and their names; the last generation alone may stay."""
        keys = self.keys("n1")
        state = set(await self._valkey.run("HKEYS", keys.state)) - {b".g", b".d", b".kept"}
        return int(await self._valkey.run("EXISTS", keys.held, keys.info)) + len(state)


def _node_of(lease: str) -> str:
    return lease.partition("|")[0]
