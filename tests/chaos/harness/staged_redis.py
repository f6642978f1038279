"""The Redis of the stage, and the faults that can happen to it. Every fault is added to the history."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos.harness.history import FaultKind, History
from tests.chaos.harness.lost_keys import MENDED_WITHIN, choose_keys
from tests.chaos.harness.proxy import Part, Proxy
from tests.chaos.harness.replica import Replica
from tests.chaos.harness.waiting import becomes_true
from tests.support.valkey import Valkey

COMMAND_TIMEOUT = 30.0
NOTICED_WITHIN = 2.5
"""Seconds in which a node leaves a server to which its address does not lead any more (docs/redis.md)."""
_NAME_OF_A_NODE = b" name=tannoy-"


class StagedRedis:
    """`async with StagedRedis(history, proxies) as redis:`. `proxies` may be filled later: all lead to this Redis.

    Each fault is in effect when its method returns, with the number by which it is removed.
    """

    def __init__(self, history: History, proxies: list[Proxy]) -> None:
        self.valkey = Valkey()
        self.data_losses = 0
        """How often Redis has lost its data."""
        self.data_lost = asyncio.Event()
        """Set with every loss."""
        self._history = history
        self._proxies = proxies
        self._former: list[Valkey] = []
        """Servers to which the proxies led before a switch; they go on until the end of the run."""

    async def __aenter__(self) -> Self:
        await self.valkey.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self.valkey, *self._former):
            await each.__aexit__(None, None, None)

    async def freeze(self) -> int:
        self.valkey.freeze()
        return self._history.record_fault(FaultKind.FREEZE_REDIS, "redis")

    def thaw(self, fault: int) -> None:
        self._history.record_healed(fault)
        self.valkey.thaw()

    async def kill(self) -> int:
        """Kill it; `restart_empty` starts it again without data."""
        fault = self._history.record_fault(FaultKind.EMPTY_REDIS, "redis")
        self.valkey.kill()
        return fault

    async def restart_empty(self, fault: int) -> None:
        await self.valkey.start()
        self._note_loss()
        self._history.record_healed(fault)

    def _note_loss(self) -> None:
        self.data_losses += 1
        self.data_lost.set()

    async def save(self) -> int:
        """Save the data with which `restart_stale` will start it again."""
        fault = self._history.record_fault(FaultKind.STALE_REDIS, "redis")
        async with asyncio.timeout(COMMAND_TIMEOUT):
            await self.valkey.run("SAVE")
        return fault

    async def restart_stale(self, fault: int) -> None:
        config: dict[bytes, bytes] = await self.valkey.run("CONFIG", "GET", "dir")
        self.valkey.kill()
        await self.valkey.start()
        (Path(config[b"dir"].decode()) / "dump.rdb").unlink()  # a later kill may have to restart without data
        self._history.record_healed(fault)

    async def start_lagging_replica(self) -> tuple[int, Replica]:
        """Start a replica, and stop its replication once it has all data."""
        fault = self._history.record_fault(FaultKind.FAILOVER, "redis")
        replica = await Replica(self.valkey).start()
        replica.stop_replication()
        return fault, replica

    async def fail_over(self, fault: int, replica: Replica) -> None:
        """Kill the master and promote the replica: writes since `start_lagging_replica` are lost."""
        old = self.valkey
        old.kill()
        self._lead_to(await replica.promote())
        self._history.record_healed(fault)
        await old.__aexit__(None, None, None)

    def _lead_to(self, other: Valkey) -> None:
        """New connections go to another server."""
        self.valkey = other
        for proxy in self._proxies:
            proxy.point_at(other.port)

    async def switch(self, kind: FaultKind, staying: Sequence[Part | None]) -> int:
        """Let the proxies lead to another server, without data or with a copy. The former one goes on.

        Of each node, in the order of the proxies, the connection in `staying` stays there. All others break.
        """
        fault = self._history.record_fault(kind, "redis")
        self._former.append(self.valkey)
        self._lead_to(await self._copy() if kind is FaultKind.SWITCH_TO_COPY else await Valkey().__aenter__())
        for proxy, stays in zip(self._proxies, staying, strict=True):
            for part in Part:
                if part is not stays:
                    proxy.reset(part)
        return fault

    async def _copy(self) -> Valkey:
        replica = await Replica(self.valkey).start()
        return await replica.promote()

    async def end_switch(self, fault: int) -> None:
        """The fault lasts until all nodes have left the former servers, or should have left them."""
        is_left = await becomes_true(self._is_former_left, NOTICED_WITHIN)
        self._note_loss()
        self._history.record_healed(fault)
        if is_left:
            await self._stop_former()

    async def _stop_former(self) -> None:
        former, self._former = self._former, []
        for each in former:
            await each.__aexit__(None, None, None)

    async def _is_former_left(self) -> bool:
        lists = [await each.run("CLIENT", "LIST") for each in self._former]
        return not any(_NAME_OF_A_NODE in clients for clients in lists)

    async def delete_some_keys(self, chance: random.Random) -> None:
        """Delete some keys, as an eviction or a clean-up script does. `lost_keys.py` has which.

        A Redis that has just lost all of its data may have none yet: then no fault occurs.
        """
        async with asyncio.timeout(COMMAND_TIMEOUT):
            keys = [key.decode() for key in await self.valkey.run("KEYS", "*")]
            if keys:
                await self._delete(choose_keys(keys, chance))

    async def delete_keys(self, *patterns: str) -> None:
        """Delete the keys whose names, without their tag, match; there has to be one for each."""
        async with asyncio.timeout(COMMAND_TIMEOUT):
            found = [await self.valkey.run("KEYS", "*}:" + pattern) for pattern in patterns]
            assert all(found), f"no key for one of {patterns}"
            await self._delete([key.decode() for keys in found for key in keys])

    async def _delete(self, keys: list[str]) -> None:
        """What is lost is missing until it is rebuilt, so the fault lasts as long as that may take."""
        fault = self._history.record_fault(FaultKind.VANISH, " ".join(("redis", *keys)))
        await self.valkey.run("DEL", *keys)
        self._history.record_healed(fault, after=MENDED_WITHIN)

    async def run_command(self, kind: FaultKind) -> None:
        """Inject one of the faults that are a Redis command."""
        words = {
            FaultKind.KILL_PUBSUB: ("CLIENT", "KILL", "TYPE", "pubsub"),
            FaultKind.KILL_NORMAL: ("CLIENT", "KILL", "TYPE", "normal"),
            FaultKind.FLUSH_SCRIPTS: ("SCRIPT", "FLUSH"),
        }[kind]
        async with asyncio.timeout(COMMAND_TIMEOUT):
            await self.valkey.run(*words)
        self._history.record_healed(self._history.record_fault(kind, "redis"))
