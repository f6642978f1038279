"""F7, F8, F9: what stays: memberships, unread messages, keys in Redis."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from tests.attack.arena import Arena
from tests.attack.case import Attacker, Case
from tests.attack.peer import Budget, Gone, Peer, Spent
from tests.attack.writing import text
from tests.chaos.harness.pacing import ticks

ROOMS_MAX = 512
"""That a session may be in."""
MANY = 100
SERVED = frozenset({"served"})
LARGE = text({"type": "message", "content": "x" * 64_000})
SLOW = frozenset({"served", "ended", "bye 4002", "bye 1013"})
FULL = "full"
ANSWERS = ("message", "error unavailable", "error rate_limited")


async def _join_all(peer: Peer, name: int) -> None:
    """As many rooms as a session may be in. Nobody else is in them: there is nothing to tell anybody."""
    joins = (text({"type": "join", "id": number, "room": f"idle.{name}.{number}"}) for number in range(ROOMS_MAX))
    await peer.ask(b"".join(joins), ROOMS_MAX, "ok", "error unavailable")


async def _idle_in_many_rooms(attacker: Attacker) -> str:
    async with attacker.socket("/ws") as peer:
        await _join_all(peer, attacker.number)
        await asyncio.sleep(attacker.seconds_left)
        return await peer.ending(0)


async def _leave_many_rooms_at_once(attacker: Attacker) -> str:
    async with attacker.socket("/ws") as peer:
        await _join_all(peer, attacker.number)
    return "served"


@asynccontextmanager
async def _idle_sessions(arena: Arena) -> AsyncGenerator[None]:
    """51,200 memberships on the attacked node."""
    async with AsyncExitStack() as stack:
        for number in range(MANY):
            peer = await Peer.connect(arena.attacked.port, Budget(1_000_000))
            stack.push_async_callback(peer.close)
            await peer.upgrade("/ws")
            await _join_all(peer, number)
        yield


async def _do_nothing(attacker: Attacker) -> str:
    await asyncio.sleep(attacker.seconds_left)
    return "served"


async def _read_little(attacker: Attacker, path: str, every: float | None) -> str:
    """A member of a busy channel that reads nothing, or some of it `every` so many seconds."""
    async with attacker.socket(path, receive_buffer=4096) as reader, attacker.socket(path) as speaker:
        reader.stop_reading()
        reading = None if every is None else asyncio.create_task(_read_now_and_then(reader, every))
        with suppress(Gone, Spent, TimeoutError):
            async with asyncio.timeout(attacker.seconds_left):
                while not reader.ended.done():
                    await speaker.send(LARGE)
        if reading is not None:
            reading.cancel()
        reader.read_on()
        return await reader.ending(0)


async def _read_now_and_then(reader: Peer, every: float) -> None:
    """Runs until it is cancelled."""
    async for _ in ticks(every):
        reader.read_on()
        await asyncio.sleep(0)
        reader.stop_reading()


async def _read_nothing(attacker: Attacker) -> str:
    return await _read_little(attacker, f"/ws/chat/busy.{attacker.number}", None)


async def _read_nothing_of_an_agent(attacker: Attacker) -> str:
    return await _read_little(attacker, f"/ws/agents/busy.{attacker.number}", None)


async def _read_slowly(attacker: Attacker) -> str:
    return await _read_little(attacker, f"/ws/chat/busy.{attacker.number}", 0.05)


async def _enter_new_rooms(attacker: Attacker) -> str:
    """Join rooms in which nobody ever was, and leave them."""
    name, numbers = uuid.uuid4().hex, itertools.count()
    async with attacker.socket("/ws") as peer:
        try:
            while attacker.goes_on:
                rooms = [f"{name}.{next(numbers)}" for _ in range(32)]
                commands = ({"type": kind, "id": 1, "room": room} for room in rooms for kind in ("join", "leave"))
                await peer.ask(b"".join(map(text, commands)), 2 * len(rooms), "ok")
        except (Gone, Spent):
            pass
        return await peer.ending(0)


async def _ask_about_new_rooms(attacker: Attacker) -> str:
    name, numbers = uuid.uuid4().hex, itertools.count()
    async with attacker.connect() as peer:
        try:
            while attacker.goes_on:
                path = f"/api/v1/rooms/{name}.{next(numbers)}/messages"
                await peer.ask(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        except (Gone, Spent):
            pass
        return await peer.ending(0)


async def _use_new_keys(attacker: Attacker) -> str:
    name, numbers = uuid.uuid4().hex, itertools.count()
    async with attacker.socket(f"/ws/chat/keys.{attacker.number}") as peer:
        try:
            while attacker.goes_on:
                keys = [f"{name}.{next(numbers)}" for _ in range(32)]
                await peer.ask(
                    b"".join(text({"type": "message", "key": key, "content": 1}) for key in keys),
                    len(keys),
                    "message",
                    "error unavailable",
                    "error rate_limited",
                )
        except (Gone, Spent):
            pass
        return await peer.ending(0)


@asynccontextmanager
async def _full_agent(arena: Arena) -> AsyncGenerator[None]:
    """An agent that has as many sessions as it may."""
    (await arena.other.http.put(f"/api/v1/agents/{FULL}/limit", json={"max_sessions": 1, "policy": "reject"}))
    peer = await Peer.connect(arena.other.port, Budget(10_000))
    await peer.upgrade(f"/ws/agents/{FULL}")
    yield
    await peer.close()


async def _be_turned_away(attacker: Attacker) -> str:
    """As another user each time."""
    async with attacker.connect() as peer:
        try:
            await peer.upgrade(f"/ws/agents/{FULL}?user_id={uuid.uuid4().hex}")
        except Gone:
            pass
        return await peer.ending(0)


CASES = (
    Case("512 rooms, idle", "F7", _idle_in_many_rooms, SERVED),
    Case("512 rooms, left at once", "F7", _leave_many_rooms_at_once, SERVED),
    Case("51,200 memberships, idle", "F7", _do_nothing, SERVED, _idle_sessions, is_long=True),
    Case("a member that does not read", "F8", _read_nothing, SLOW),
    Case("a session of an agent that does not read", "F8", _read_nothing_of_an_agent, SLOW),
    Case("a member that reads slowly", "F8", _read_slowly, SLOW),
    Case("rooms that nobody was in", "F9", _enter_new_rooms, SERVED),
    Case("questions about rooms that nobody was in", "F9", _ask_about_new_rooms, SERVED),
    Case("a new idempotency key each time", "F9", _use_new_keys, SERVED | {"bye 4505", "ended"}),
    Case("strangers who are turned away", "F9", _be_turned_away, frozenset({"bye 1013"}), _full_agent),
)
