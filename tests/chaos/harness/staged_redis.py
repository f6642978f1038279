"""The Redis of the stage, and the faults that can happen to it. Every fault is added to the history."""

import asyncio
import random
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos.harness.history import FaultKind, History
from tests.chaos.harness.lost_keys import MENDED_WITHIN, choose_keys
from tests.chaos.harness.proxy import Proxy
from tests.chaos.harness.replica import Replica
from tests.support.valkey import Valkey

COMMAND_TIMEOUT = 3.0


class StagedRedis:
    """`async with StagedRedis(history, proxies) as redis:`. `proxies` may be filled later: all lead to this Redis.

    Each fault is in effect when its method returns, with the number by which it is removed.
    """

    def __init__(self, history: History, proxies: list[Proxy]) -> None:
        self.valkey = Valkey()
        self.data_losses = 0
        """How often Redis was restarted empty."""
        self.data_lost = asyncio.Event()
        """Set with every loss."""
        self._history = history
        self._proxies = proxies

    async def __aenter__(self) -> Self:
        await self.valkey.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.valkey.__aexit__(None, None, None)  # the present one: a failover replaces it

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
        self.data_losses += 1
        self.data_lost.set()
        self._history.record_healed(fault)

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
        self.valkey = await replica.promote()
        for proxy in self._proxies:
            proxy.point_at(self.valkey.port)
        self._history.record_healed(fault)
        await old.__aexit__(None, None, None)

    async def delete_some_keys(self, chance: random.Random) -> None:
        """Delete some keys, as an eviction or a clean-up script does. `lost_keys.py` has which."""
        async with asyncio.timeout(COMMAND_TIMEOUT):
            keys = [key.decode() for key in await self.valkey.run("KEYS", "*")]
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
