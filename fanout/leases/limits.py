"""How many sessions an owner may have: the settings, and what holds for one agent alone."""

import asyncio
from collections.abc import Callable, Iterable

import orjson

from ...shared.channels import Owner, OwnerKind
from ...shared.codes import CloseCode
from ...shared.keyspace import Keyspace
from ...shared.policy import Limit, LimitPolicy
from ...shared.sessions import SessionInfo
from ..control.requests import Evict, Notice
from ..redis.pipeline import AnyPipeline
from ..scripts import LEASE_LIMIT, LEASE_LIST
from .lease import incarnation_of

DEADLINE = 2.0
"""Seconds for the nodes to close those who are too many."""
LOOK_AGAIN = 0.05


class Limits:
    """`tell` sends an errand to the process of that incarnation."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        *,
        incarnation: str,
        defaults: dict[OwnerKind, Limit],
        tell: Callable[[str, Notice], None],
    ) -> None:
        self._pipeline = pipeline
        self._keyspace = keyspace
        self._incarnation = incarnation
        self._defaults = defaults
        self._tell = tell

    def default(self, kind: OwnerKind) -> Limit:
        """What holds for owners without a limit of their own."""
        return self._defaults[kind]

    async def set(self, owner: Owner, limit: Limit) -> int:
        """Give an owner a limit of its own; the number of sessions that are closed for it. Raises Unavailable."""
        told: set[str] = set()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + DEADLINE
        while True:
            arguments = (limit.max_sessions, limit.policy)
            count, surplus = await self._pipeline.run_script(LEASE_LIMIT, self._keys(owner), arguments)
            told.update(self.send_surplus_away(owner, surplus, limit.policy, count))
            if not surplus or loop.time() > give_up:
                return len(told)
            await asyncio.sleep(LOOK_AGAIN)

    def send_surplus_away(self, owner: Owner, surplus: Iterable[bytes], policy: LimitPolicy, count: int) -> list[str]:
        """Have leases closed that are too many; their names. Under `reject` they may come back, and try again."""
        code = CloseCode.TRY_AGAIN_LATER if policy is LimitPolicy.REJECT else CloseCode.EVICTED
        names = [str(name, "utf-8") for name in surplus]
        for name in names:
            self._tell(incarnation_of(name), Evict(owner, name, code, count, ""))
        return names

    async def roster(self, owner: Owner) -> tuple[Limit, list[SessionInfo]]:
        """The limit that holds for an owner, and its sessions, oldest first. Raises Unavailable and MalformedBytes."""
        default = self._defaults[owner.kind]
        arguments = (default.max_sessions, default.policy)
        max_sessions, policy, infos = await self._pipeline.run_script(LEASE_LIST, self._keys(owner), arguments)
        return Limit(int(max_sessions), LimitPolicy(str(policy, "ascii"))), [
            SessionInfo.parse(orjson.loads(info)) for info in infos
        ]

    def _keys(self, owner: Owner) -> tuple[bytes, ...]:
        return self._keyspace.leases(owner, self._incarnation)
