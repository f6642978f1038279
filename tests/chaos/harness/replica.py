"""A replica that falls behind its master and then takes over: what asynchronous replication loses in a failover."""

from contextlib import AsyncExitStack
from typing import Self

from tests.chaos.harness.proxy import Proxy, Way
from tests.support.valkey import Valkey
from tests.support.waiting import eventually

SYNC_WITHIN = 10.0


class Replica:
    """`start`, `fall_behind`, `take_over`: in this order."""

    def __init__(self, master: Valkey) -> None:
        self._valkey = Valkey()
        self._master = master
        self._stream = Proxy(master.port)

    async def start(self) -> Self:
        """It has all that the master has."""
        await self._master.run("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._stream)
            await stack.enter_async_context(self._valkey)
            await self._valkey.run("REPLICAOF", "127.0.0.1", str(self._stream.port))
            await eventually(self._is_in_sync, within=SYNC_WITHIN, what="the replica has what the master has")
            stack.pop_all()
        return self

    async def _is_in_sync(self) -> bool:
        told: dict[str, object] = await self._valkey.run("INFO", "replication")
        return told["master_link_status"] == "up"

    def fall_behind(self) -> None:
        """From now on nothing gets here any more: not late either, since it waits where `take_over` throws it away."""
        self._stream.stall(Way.FROM_REDIS)

    async def take_over(self) -> Valkey:
        """A master, the caller's from now on."""
        await self._stream.__aexit__(None, None, None)
        await self._valkey.run("REPLICAOF", "NO", "ONE")
        return self._valkey
