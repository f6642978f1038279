"""A replica that lags behind its master and is promoted: a failover loses what was not replicated yet."""

from contextlib import AsyncExitStack
from typing import Self

from tests.chaos.harness.proxy import Proxy, Way
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

SYNC_WITHIN = 10.0


class Replica:
    """`start`, `stop_replication`, `promote`: in this order."""

    def __init__(self, master: Valkey) -> None:
        self._valkey = Valkey()
        self._master = master
        self._stream = Proxy(master.port)

    async def start(self) -> Self:
        """Returns when it has all data of the master."""
        await self._master.run("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._stream)
            await stack.enter_async_context(self._valkey)
            await self._valkey.run("REPLICAOF", "127.0.0.1", str(self._stream.port))
            await eventually(self._is_in_sync, within=SYNC_WITHIN, what="the replica has what the master has")
            stack.pop_all()
        return self

    async def _is_in_sync(self) -> bool:
        replication: dict[str, object] = await self._valkey.run("INFO", "replication")
        return replication["master_link_status"] == "up"

    def stop_replication(self) -> None:
        """Receive nothing from now on. Writes wait in the proxy, and `promote` discards them."""
        self._stream.stall(Way.FROM_REDIS)

    async def promote(self) -> Valkey:
        """Make it a master. The caller owns the returned server."""
        await self._stream.__aexit__(None, None, None)
        await self._valkey.run("REPLICAOF", "NO", "ONE")
        return self._valkey
