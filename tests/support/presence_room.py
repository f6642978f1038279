"""A room in a real Redis: what processes do to its presence, and what its sockets would be told."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self, cast

from tannoy.fanout.presence.calls import PRESENCE_SCRIPTS, PresenceCalls, PresenceRules
from tannoy.fanout.pubsub.envelope import unpack_publication
from tannoy.fanout.redis.connection import Pushes, connect
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId

from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

ALIVE_MS = 60_000
RULES = PresenceRules(inline_max=50, events_max=1000, grace=0)
Frame = dict[str, Any]
_THAT_IS_ALL = b"that is all"


@asynccontextmanager
async def pipeline_to(valkey: Valkey, *, command_timeout: float = PATIENCE) -> AsyncGenerator[Pipeline]:
    """Connected; its scripts are loaded. `command_timeout`: seconds; short where a test is about it."""
    pipeline = Pipeline(valkey.address, name="test", scripts=PRESENCE_SCRIPTS, command_timeout=command_timeout)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pipeline.run())
        await pipeline.connected.wait()
        yield pipeline
        running.cancel()


class PresenceRoom:
    """One room, in the words of the contract. Leaves are shown at once unless the rules have a grace."""

    def __init__(self, valkey: Valkey, pipeline: Pipeline, keyspace: Keyspace, rules: PresenceRules) -> None:
        self.channel: Channel = keyspace.room(RoomName("lobby"))
        self.keyspace = keyspace
        self.part = self.channel.partition
        self._valkey = valkey
        self._calls = PresenceCalls(pipeline, keyspace, rules)
        self._pipeline = pipeline
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, valkey: Valkey, pipeline: Pipeline, keyspace: Keyspace, rules: PresenceRules = RULES
    ) -> AsyncGenerator[Self]:
        """With two processes that live, n1 and n2."""
        room = cls(valkey, pipeline, keyspace, rules)
        link = await connect(valkey.address, name="test-link", on_pushes=room._hear, timeout=PATIENCE)
        link.subscribe(("SUBSCRIBE", room.channel.address), refused=lambda refusal: None)
        await link.command("PING")
        await room.beat("n1", "n2")
        try:
            yield room
        finally:
            link.abort()
            await link.lost

    def _hear(self, pushes: Pushes) -> None:
        for kind, *_, payload in pushes:
            if kind == b"message":
                self._heard.put_nowait(payload)

    def under(self, rules: PresenceRules) -> PresenceCalls:
        """The same room, for processes with other rules."""
        return PresenceCalls(self._pipeline, self.keyspace, rules)

    # ---- processes

    async def now_ms(self) -> int:
        seconds, micros = await self._valkey.run("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def beat(self, *processes: str, ms: int = ALIVE_MS) -> None:
        """In every partition. `ms` below 0: its heartbeat ran out that long ago."""
        until = await self.now_ms() + ms
        for part in range(64):
            for process in processes:
                await self._valkey.run("ZADD", self.keyspace.heartbeats(part), str(until), process)

    async def dies(self, process: str, *, ago_ms: int = 0) -> None:
        """Its heartbeat ran out `ago_ms` ago."""
        await self.beat(process, ms=-ago_ms)

    async def join(self, process: str, number: int, user: str, username: str | None = None) -> Any:
        """The answer of the script."""
        return await self._calls.join(self.channel, process, number, UserId(user), username or user.title())

    async def leave(self, process: str, number: int) -> int:
        return cast(int, await self._calls.leave(self.channel, process, number))

    async def take_out(self, process: str) -> int:
        """Of a dead process: how many of its sessions are left."""
        return cast(int, await self._calls.dead(self.channel, process))

    async def sweep(self) -> int:
        """How many leaves it has shown."""
        return cast(int, await self._calls.sweep(self.channel))

    async def due(self) -> tuple[list[str], list[str]]:
        """Rooms that were claimed, processes that are dead."""
        rooms, dead = await self._calls.due(self.part)
        return [room.decode() for room in rooms], [process.decode() for process in dead]

    # ---- what is to be seen

    async def counts(self) -> tuple[int, int, int]:
        """Version, users, sessions."""
        version, users, sessions, _ = await self._calls.list(self.channel, 0)
        return version, users, sessions

    async def counts_only(self) -> tuple[int, int]:
        """Users and sessions, or (-1, -1) while Redis does not answer."""
        try:
            return (await self.counts())[1:]
        except Unavailable:
            return -1, -1

    async def users(self, limit: int = 1000) -> dict[str, str]:
        *_, flat = await self._calls.list(self.channel, limit)
        words = [word.decode() for word in flat]
        return dict(zip(words[::2], words[1::2], strict=True))

    async def events(self) -> list[Frame]:
        """What the room was told since the last time; all of it: what we say ourselves comes behind it."""
        await self._valkey.run("PUBLISH", self.channel.address, _THAT_IS_ALL)
        events: list[Frame] = []
        while (payload := await asyncio.wait_for(self._heard.get(), PATIENCE)) != _THAT_IS_ALL:
            events.append(json.loads(unpack_publication(payload).encoded.json))
        return events

    async def told(self) -> list[tuple[str, str | None, int]]:
        """Type, user and count of each of `events`."""
        return [(event["type"], event.get("user_id"), event["users_count"]) for event in await self.events()]

    async def left_over(self) -> set[str]:
        """Keys of the cluster, but for the heartbeats."""
        keys = await self._valkey.run("KEYS", self.channel.address.split(b":")[0] + b":*")
        return {key.decode() for key in keys if not key.endswith(b":nodes")}
