"""F11 to F15, F19, F20, F24, F25: HTTP, and handshakes that are none."""

import asyncio
from contextlib import AsyncExitStack

from tests.attack.case import Attacker, Case
from tests.attack.cases.reads import ROOM, full_room
from tests.attack.peer import Gone, Spent, handshake
from tests.attack.writing import text

LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ENDS_WITHIN = 0.2
CONNECTIONS = 100
ENDED = frozenset({"ended"})
ROOMS = "/api/v1/rooms"


async def _pipeline(attacker: Attacker) -> str:
    """Far more requests than are answered: the node closes behind the first ones."""
    async with attacker.connect() as peer:
        try:
            await peer.send(LIVE * (attacker.budget.at_most(1_800_000) // len(LIVE)))
            await peer.until(lambda: False)
        except Gone:
            pass
        return await peer.ending(0)


async def _read_no_page(attacker: Attacker) -> str:
    """Clients that ask for a page, and do not read it; 20 of them."""
    request = f"GET /api/v1/rooms/{ROOM}/messages?limit=300 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    async with AsyncExitStack() as stack:
        for _ in range(20):
            peer = await stack.enter_async_context(attacker.connect(receive_buffer=4096))
            peer.stop_reading()
            await peer.send(request * 8)
        await asyncio.sleep(attacker.seconds_left)
    return "served"


async def _begin(attacker: Attacker, start: bytes) -> str:
    """Connections that have sent the start of a request."""
    outcomes: set[str] = set()
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(attacker.connect()) for _ in range(CONNECTIONS)]
        for peer in peers:
            await peer.send(start)
        await asyncio.sleep(attacker.seconds_left)
        outcomes = {await peer.ending(0) for peer in peers}
    return ", ".join(sorted(outcomes))


async def _begin_heads(attacker: Attacker) -> str:
    return await _begin(attacker, b"GET / HTTP/1.1\r\nX: " + b"x" * 1000)


async def _begin_bodies(attacker: Attacker) -> str:
    head = b"POST /api/v1/rooms/a/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n"
    return await _begin(attacker, head + b"x" * 1000)


async def _begin_handshakes(attacker: Attacker) -> str:
    return await _begin(attacker, handshake("/ws")[:-2])


async def _upgrade_behind_a_request(attacker: Attacker) -> str:
    async with attacker.connect() as peer:
        await peer.send(LIVE + handshake("/ws"))
        await peer.until(lambda: peer.seen.total() >= 2)
        return await peer.ending(ENDS_WITHIN)


async def _send_behind_a_handshake(attacker: Attacker, more: bytes) -> str:
    """In the same segment, before the node has answered."""
    async with attacker.connect() as peer:
        await peer.send(handshake("/ws") + more)
        await peer.saw("pong", "bye 1002", "bye 1008")
        return await peer.ending(0)


async def _send_frames_behind_a_handshake(attacker: Attacker) -> str:
    return await _send_behind_a_handshake(attacker, text({"type": "ping", "id": 1}))


async def _send_a_request_behind_a_handshake(attacker: Attacker) -> str:
    return await _send_behind_a_handshake(attacker, LIVE)


async def _offer_h2c(attacker: Attacker) -> str:
    """On a kept connection, again and again."""
    request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with attacker.connect() as peer:
        try:
            while attacker.goes_on:
                await peer.ask(request)
        except (Gone, Spent):
            pass
        return await peer.ending(0)


async def _send_no_http(attacker: Attacker) -> str:
    """Connections one after the other, each with something else than HTTP."""
    outcome = ""
    for _ in range(CONNECTIONS):
        async with attacker.connect() as peer:
            await peer.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
            outcome = await peer.ending(0)
    return outcome


def _answered(name: str, fault: str, request: bytes, *statuses: int) -> Case:
    """One request and its answer, again and again."""

    async def attack(attacker: Attacker) -> str:
        async with attacker.connect() as peer:
            await peer.ask(request)
            return await peer.ending(0)

    return Case(name, fault, attack, frozenset(f"HTTP {status}" for status in statuses))


def _get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *fields, "", ""]).encode()


async def _hear_farewell(attacker: Attacker, path: str) -> str:
    """Connections of a bad name, which are told so, and do not close."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(attacker.connect()) for _ in range(CONNECTIONS)]
        for peer in peers:
            await peer.send(handshake(path))
        for peer in peers:
            await peer.saw("bye 4503", "HTTP 503")
        await asyncio.sleep(attacker.seconds_left)
        return " and ".join(sorted({await peer.ending(0) for peer in peers}))


def _farewell(name: str, path: str) -> Case:
    async def attack(attacker: Attacker) -> str:
        return await _hear_farewell(attacker, path)

    return Case(name, "F25", attack, frozenset({"bye 4503", "HTTP 503", "HTTP 503 and bye 4503"}))


_WEBSOCKET = handshake("/ws").decode()
LATE = frozenset({"served", "HTTP 408", "ended", "HTTP 503"})
CASES = (
    Case("pipelined requests", "F12", _pipeline, ENDED),
    Case("pages over HTTP that nobody reads", "F12", _read_no_page, frozenset({"served"}), full_room),
    Case("half a head on 100 connections", "F11", _begin_heads, LATE),
    Case("half a body on 100 connections", "F11", _begin_bodies, LATE),
    Case("half a handshake on 100 connections", "F11", _begin_handshakes, LATE),
    Case("an upgrade behind a request", "F13", _upgrade_behind_a_request, frozenset({"HTTP 426", "HTTP 400", "ended"})),
    Case("frames in the segment of a handshake", "F13", _send_frames_behind_a_handshake, frozenset({"served"})),
    Case("a request behind a handshake", "F13", _send_a_request_behind_a_handshake, frozenset({"bye 1002"})),
    _answered("a request that a proxy has forwarded", "F14", _get(ROOMS, "X-Forwarded-For: 8.8.8.8"), 403),
    _answered("a request with Forwarded", "F14", _get(ROOMS, "Forwarded: for=8.8.8.8"), 403),
    _answered("a request with X-Real-IP", "F14", _get(ROOMS, "X-Real-IP: 8.8.8.8"), 403),
    _answered("an image of a foreign page", "F15", _get(ROOMS, "Sec-Fetch-Site: cross-site"), 403),
    _answered("a script of a neighbouring page", "F15", _get(ROOMS, "Sec-Fetch-Site: same-site"), 403),
    _answered("a call of a foreign page", "F15", _get(ROOMS, "Origin: https://evil.example"), 403),
    Case("requests that offer h2c", "F19", _offer_h2c, frozenset({"served", "ended"})),
    Case("connections that speak no HTTP", "F19", _send_no_http, frozenset({"HTTP 400"})),
    _answered(
        "a limit of 4,309 digits", "F20", _get(f"/api/v1/rooms?limit={'0' * 2000}1000{'0' * 1900}"), 400, 414, 431
    ),
    _answered("a limit with leading zeros", "F20", _get("/api/v1/rooms?limit=0000000010000"), 400),
    _answered("an offset of 400 digits", "F20", _get(f"/api/v1/rooms/a/messages?before={'9' * 400}"), 400),
    _answered("a handshake over HTTP/1.0", "F24", _WEBSOCKET.replace("HTTP/1.1", "HTTP/1.0").encode(), 426),
    _answered("a handshake without a Host", "F24", _WEBSOCKET.replace("Host: 127.0.0.1\r\n", "").encode(), 400),
    _answered("a handshake with two Hosts", "F24", _WEBSOCKET.replace("Host:", "Host: evil\r\nHost:").encode(), 400),
    _answered("a handshake with a body", "F24", handshake("/ws", "Content-Length: 5") + b"hello", 400),
    _farewell("farewells that nobody answers", "/ws/chat/%20"),
    _farewell("farewells to bad users", "/ws?user_id=%20"),
    _farewell("farewells to bad agents", "/ws/agents/%20"),
)
