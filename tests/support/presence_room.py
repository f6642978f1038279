"""A room with presence in a real Redis: run the presence scripts on it, and read the events they publish."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from tannoy.fanout.presence.calls import FENCED, PresenceCalls, PresenceRules
from tannoy.fanout.pubsub.envelope import unpack_publication
from tannoy.fanout.redis.connection import Pushes
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.shared.channels import Channel
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName, UserId

from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually

ALIVE_MS = 60_000
RULES = PresenceRules(inline_max=50, events_max=1000, grace=0)
SHORT = 0.05
"""Seconds of grace in tests that wait for a leave."""
LONG = 60.0
"""Seconds of grace that do not end during a test."""
Frame = dict[str, Any]
_END = b"end of test messages"


class PresenceRoom:
    """One room. A leave is announced at once unless the rules have a grace."""

    def __init__(self, valkey: Valkey, pipeline: Pipeline, keyspace: Keyspace, rules: PresenceRules) -> None:
        self.channel: Channel = keyspace.room(RoomName("lobby"))
        self.keyspace = keyspace
        self.part = self.channel.partition
        self._valkey = valkey
        self._calls = PresenceCalls(pipeline, keyspace, rules)
        self._pipeline = pipeline
        self._received: asyncio.Queue[bytes] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, valkey: Valkey, pipeline: Pipeline, keyspace: Keyspace, rules: PresenceRules = RULES
    ) -> AsyncGenerator[Self]:
        """With two live processes, n1 and n2."""
        room = cls(valkey, pipeline, keyspace, rules)
        link = await connect(valkey.address, name="test-link", on_pushes=room._on_pushes, timeout=PATIENCE)
        link.subscribe(("SUBSCRIBE", room.channel.address), on_refused=lambda refusal: None)
        await link.send("PING")
        await room.send_heartbeats("n1", "n2")
        try:
            yield room
        finally:
            link.abort()
            await link.lost

    def _on_pushes(self, pushes: Pushes) -> None:
        for kind, *_, payload in pushes:
            if kind == b"message":
                self._received.put_nowait(payload)

    def calls_with(self, rules: PresenceRules) -> PresenceCalls:
        """The scripts of the same room under other rules."""
        return PresenceCalls(self._pipeline, self.keyspace, rules)

    # ---- what processes do

    async def now_ms(self) -> int:
        seconds, micros = await self._valkey.run("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def send_heartbeats(self, *processes: str, ms: int = ALIVE_MS) -> None:
        """In every partition. `ms`: how long they last; below 0: they ran out that long ago."""
        until = await self.now_ms() + ms
        for part in range(64):
            for process in processes:
                await self._valkey.run("ZADD", self.keyspace.heartbeats(part), str(until), process)

    async def expire_heartbeat(self, process: str, *, ago_ms: int = 0) -> None:
        """Let the heartbeat of a process have run out `ago_ms` milliseconds ago."""
        await self.send_heartbeats(process, ms=-ago_ms)

    async def join(self, process: str, number: int, user: str, username: str | None = None) -> Any:
        """[version, users, list of users]; None: the heartbeat of the process has expired."""
        answer = await self._calls.join(self.channel, process, number, UserId(user), username or user.title())
        return None if answer == FENCED else answer[:3]

    async def leave(self, process: str, number: int) -> int:
        return await self._calls.leave(self.channel, process, number)

    async def remove_dead(self, process: str) -> int:
        """Remove sessions of a dead process; returns how many are left."""
        return await self._calls.remove_dead(self.channel, process)

    async def sweep(self) -> int:
        """Returns how many leaves were announced."""
        return await self._calls.sweep_room(self.channel)

    async def due(self) -> tuple[list[str], list[str]]:
        """Claim due rooms; returns their names and the dead processes."""
        rooms, dead = await self._calls.claim_due(self.part)
        return [room.decode() for room in rooms], [process.decode() for process in dead]

    # ---- what Redis stores and publishes

    async def counts(self) -> tuple[int, int, int]:
        """Version, users, sessions."""
        version, users, sessions, _ = await self._calls.list_users(self.channel, 0)
        return version, users, sessions

    async def user_and_session_counts(self) -> tuple[int, int]:
        """Users and sessions, or (-1, -1) while Redis does not answer."""
        try:
            return (await self.counts())[1:]
        except Unavailable:
            return -1, -1

    async def users(self, limit: int = 1000) -> dict[str, str]:
        *_, flat = await self._calls.list_users(self.channel, limit)
        words = [word.decode() for word in flat]
        return dict(zip(words[::2], words[1::2], strict=True))

    async def events(self) -> list[Frame]:
        """All events since the last call. Complete: a message of our own is published after them."""
        await self._valkey.run("PUBLISH", self.channel.address, _END)
        events: list[Frame] = []
        while (payload := await asyncio.wait_for(self._received.get(), PATIENCE)) != _END:
            events.append(json.loads(unpack_publication(payload).encoded.json))
        return events

    async def event_summaries(self) -> list[tuple[str, str | None, int]]:
        """Type, user and count of each of `events`."""
        return [(event["type"], event.get("user_id"), event["users_count"]) for event in await self.events()]

    async def remaining_keys(self) -> set[str]:
        """All keys of the prefix except the heartbeats."""
        keys = await self._valkey.run("KEYS", self.channel.address.split(b":")[0] + b":*")
        return {key.decode() for key in keys if not key.endswith(b":nodes")}


OpenRoom = Callable[..., Awaitable[PresenceRoom]]


async def sweep_until(room: PresenceRoom, count: int = 1) -> None:
    """Sweep until that many leaves have been announced."""
    shown = [0]

    async def swept() -> bool:
        shown[0] += await room.sweep()
        return shown[0] >= count

    await eventually(swept, what=f"{count} leaves are shown")
    assert shown[0] == count


async def wait_on_redis_clock(room: PresenceRoom, seconds: float) -> None:
    """On the clock of Redis."""
    end = await room.now_ms() + seconds * 1000

    async def passed() -> bool:
        return await room.now_ms() > end

    await eventually(passed, what=f"{seconds:g} s pass")
