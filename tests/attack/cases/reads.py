"""F1, F21: small questions with large answers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.attack.arena import Arena
from tests.attack.case import Attacker, Case
from tests.attack.peer import Budget, Peer, handshake
from tests.attack.writing import text

ROOM, PRESENT = "full", "crowd"
MESSAGES, MESSAGE_BYTES = 100, 64_000
USERS = 100
COMMANDS = 64
SERVED = frozenset({"served"})
UNREAD = frozenset({"served", "ended", "bye 4002"})
LEAVES_WITHIN = 0.5
ENDS_WITHIN = 10.0
"""Seconds in which a session ends that has to."""


@asynccontextmanager
async def full_room(arena: Arena) -> AsyncGenerator[None]:
    """The longest history of a room: all of HISTORY_SIZE, each message nearly as large as one may be."""
    messages = [{"room": ROOM, "content": "x" * MESSAGE_BYTES}] * 10
    for _ in range(MESSAGES // 10):
        (await arena.other.http.post("/api/v1/messages", json={"messages": messages})).raise_for_status()
    yield


@asynccontextmanager
async def _crowd(arena: Arena) -> AsyncGenerator[None]:
    """A room with many users of long names, on the other node."""
    budget = Budget(USERS * 1000)
    peers = [await Peer.connect(arena.other.port, budget) for _ in range(USERS)]
    for number, peer in enumerate(peers):
        await peer.upgrade(f"/ws/chat/{PRESENT}?user_id={number:0>128}")
    yield
    for peer in peers:
        await peer.close()


def _questions(kind: str, count: int, **fields: object) -> bytes:
    return b"".join(text({"type": kind, "id": number, **fields}) for number in range(count))


async def _ask(attacker: Attacker, path: str, questions: bytes) -> str:
    """All at once, then read every answer."""
    async with attacker.socket(path) as peer:
        await peer.send(questions)

        def are_answered() -> bool:
            answers = sum(
                count for what, count in peer.seen.items() if what.partition(" ")[0] in ("ok", "error", "large")
            )
            return answers >= COMMANDS or not attacker.goes_on

        await peer.until(are_answered)
        return await peer.ending(LEAVES_WITHIN)


async def _ask_histories(attacker: Attacker) -> str:
    return await _ask(attacker, f"/ws/chat/{ROOM}", _questions("history", COMMANDS, limit=300))


async def _ask_presences(attacker: Attacker) -> str:
    return await _ask(attacker, f"/ws/chat/{PRESENT}", _questions("presence", COMMANDS))


async def _ask_and_read_nothing(attacker: Attacker, room: str, questions: bytes) -> str:
    async with attacker.socket(f"/ws/chat/{room}", receive_buffer=4096) as peer:
        peer.stop_reading()
        await peer.send(questions)
        await asyncio.sleep(attacker.seconds_left)
        return await peer.ending(0)


async def _read_no_history(attacker: Attacker) -> str:
    return await _ask_and_read_nothing(attacker, ROOM, _questions("history", COMMANDS, limit=300))


async def _read_no_presence(attacker: Attacker) -> str:
    return await _ask_and_read_nothing(attacker, PRESENT, _questions("presence", COMMANDS))


async def _recover_and_read_nothing(attacker: Attacker) -> str:
    newest = (await attacker.arena.other.http.get(f"/api/v1/rooms/{ROOM}/messages?limit=1")).json()
    async with attacker.connect(receive_buffer=4096) as peer:
        peer.stop_reading()
        await peer.send(handshake(f"/ws/chat/{ROOM}?epoch={newest['epoch']}&offset=0"))
        await asyncio.sleep(attacker.seconds_left)
        return await peer.ending(0)


async def _recover(attacker: Attacker) -> str:
    """Twenty who have missed everything that the room has, one after the other on one attacker."""
    newest = (await attacker.arena.other.http.get(f"/api/v1/rooms/{ROOM}/messages?limit=1")).json()
    for _ in range(20):
        async with attacker.connect() as peer:
            await peer.send(handshake(f"/ws/chat/{ROOM}?epoch={newest['epoch']}&offset=0"))
            await peer.until(lambda: bool(peer.seen["welcome"] or peer.seen["large frame"]) or not attacker.goes_on)
    return "served"


async def _get_messages(attacker: Attacker) -> str:
    """Pipelined, as many as a connection may have, on one connection after the other."""
    async with attacker.connect() as peer:
        await peer.send(f"GET /api/v1/rooms/{ROOM}/messages?limit=300 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 8)
        await peer.until(lambda: peer.seen["HTTP 200"] >= 8 or not attacker.goes_on)
        return await peer.ending(0)


async def _ask_without_id(attacker: Attacker) -> str:
    async with attacker.socket(f"/ws/chat/{ROOM}") as peer:
        await peer.send(text({"type": "history", "limit": 300}) * COMMANDS)
        return await peer.ending(ENDS_WITHIN)


CASES = (
    Case("64 histories at once", "F1", _ask_histories, SERVED, full_room),
    Case("64 presences at once", "F1", _ask_presences, SERVED, _crowd),
    Case("recoveries of a whole history", "F1", _recover, SERVED, full_room),
    Case("histories without an id", "F1", _ask_without_id, frozenset({"bye 4505"}), full_room),
    Case("pages over HTTP", "F1", _get_messages, SERVED, full_room),
    Case("histories that nobody reads", "F21", _read_no_history, UNREAD, full_room),
    Case("presences that nobody reads", "F21", _read_no_presence, UNREAD, _crowd),
    Case("a recovery that nobody reads", "F21", _recover_and_read_nothing, UNREAD, full_room),
)
