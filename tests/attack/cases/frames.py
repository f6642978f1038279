"""F3, F22, F24, F30: frames that cost the node more than they cost their sender."""

import asyncio
from contextlib import suppress

from tests.attack.case import Attacker, Case
from tests.attack.peer import PIECE, Gone, Spent
from tests.attack.writing import frame, packed, text
from tests.support.client_frames import BINARY, CONTINUATION, PING, PONG, TEXT

FLOODER = frozenset({"bye 4505", "bye 1008", "close 1008", "ended"})
"""How a session ends that sends too much."""
TOLERATED = FLOODER | {"served"}
ROOM = "/ws/chat/flooded"
ROOMS = "/ws"
"""Where any room may be named. On the socket of one room another one is a malformed command, and ten end it."""
MSGPACK = "Sec-WebSocket-Protocol: tannoy.v1.msgpack"
LEAVES_WITHIN = 0.5
ENDS_WITHIN = 10.0
"""Seconds in which a session ends that has to."""
REFUSED = frozenset({"bye 1013", "ended"})
"""Who goes on with commands that are refused for their rate."""
BAD_FRAMES = frozenset({"bye 4505", "ended"})


async def _flood(
    attacker: Attacker,
    first: bytes,
    data: bytes,
    *headers: str,
    reads: bool,
    ends_as: frozenset[str],
    path: str = ROOM,
) -> str:
    """Send `first`, then `data` again and again as fast as the node takes it, until it ends this or time is up."""
    async with attacker.socket(path, *headers) as peer:
        if not reads:
            peer.stop_reading()
        piece = data * max(1, PIECE // len(data))
        with suppress(Gone, Spent, TimeoutError):  # a node that does not read is no error either
            async with asyncio.timeout(attacker.seconds_left):
                await peer.send(first)
                while True:
                    await peer.send(piece)
        peer.read_on()
        return await peer.ending(LEAVES_WITHIN if ends_as == TOLERATED else ENDS_WITHIN)


def _case(
    name: str,
    data: bytes,
    *headers: str,
    fault: str = "F3",
    first: bytes = b"",
    reads: bool = True,
    rated: bool = False,
    ends_as: frozenset[str] = TOLERATED,
    path: str = ROOM,
) -> Case:
    async def attack(attacker: Attacker) -> str:
        return await _flood(attacker, first, data, *headers, reads=reads, ends_as=ends_as, path=path)

    return Case(name, fault, attack, ends_as, rated=rated)


async def _pongs_in_one_write(attacker: Attacker) -> str:
    async with attacker.socket(ROOM) as peer:
        await peer.send(frame(PONG) * (attacker.budget.at_most(3_000_000) // len(frame(PONG))))
        return await peer.ending(LEAVES_WITHIN)


async def _wait_behind_a_join(attacker: Attacker) -> str:
    """`{}` is malformed, which is only seen once the join before it is done."""
    async with attacker.socket("/ws") as peer:
        objects = frame(TEXT, b"{}") * (attacker.budget.at_most(800_000) // len(frame(TEXT, b"{}")))
        await peer.send(text({"type": "join", "room": f"waiting.{attacker.number}"}) + objects)
        return await peer.ending(LEAVES_WITHIN)


def _nested(depth: int, size: int) -> bytes:
    """Arrays in arrays, each of which says that it is long."""
    return b"\x82\xa4type\xa7message\xa7content" + b"\xdd\x00\x00\xff\xff" * depth + b"\xc0" * (size - 5 * depth)


LONG_LENGTH = bytes((0x80 | TEXT, 0x80 | 126, 0, 2)) + bytes(4) + b"{}"
"""A length of 16 bits, where 7 are enough (RFC 6455 §5.2)."""
EMPTY: list[dict[str, object]] = [{}]
NILS = {"type": "message", "content": [None] * 60_000}
CASES = (
    Case("3 MB of pongs in one write", "F3", _pongs_in_one_write, TOLERATED),
    _case("pongs", frame(PONG)),
    _case("pings", frame(PING)),
    _case("pings, answers unread", frame(PING), reads=False),
    _case("pings of 125 bytes", frame(PING, b"x" * 125)),
    _case("empty fragments", frame(CONTINUATION, fin=False), first=frame(TEXT, b"{", fin=False)),
    _case(
        "fragments of one byte",
        frame(CONTINUATION, b" ", fin=False),
        first=frame(TEXT, b"{", fin=False),
        ends_as=TOLERATED | {"bye 1009"},
    ),
    _case("fragments of nothing", frame(CONTINUATION, fin=False), ends_as=frozenset({"bye 1002"})),
    _case("malformed objects", frame(TEXT, b"{}"), ends_as=BAD_FRAMES),
    _case("objects that are none", frame(TEXT, b"[" * 5000), ends_as=BAD_FRAMES),
    _case("pings of the protocol", text({"type": "ping"})),
    _case("pings of the protocol, unread", text({"type": "ping", "id": 1}), reads=False),
    _case("typing", text({"type": "typing"})),
    _case("messages of 64 kB", text({"type": "message", "content": "x" * 64_000})),
    _case("messages of 10 bytes", text({"type": "message", "content": "x"})),
    Case("malformed objects behind a join", "F3", _wait_behind_a_join, TOLERATED),
    _case("msgpack of 60,000 nils", packed(NILS), MSGPACK, fault="F22"),
    _case("JSON of 32,000 numbers", text({"type": "message", "content": [1] * 32_000}), fault="F22"),
    _case("msgpack of nested long arrays", frame(BINARY, _nested(500, 60_000)), MSGPACK, fault="F22"),
    _case(
        "msgpack maps of 6,000 keys",
        packed({"type": "message", "content": {str(n): n for n in range(6000)}}),
        MSGPACK,
        fault="F22",
    ),
    _case("msgpack of 16,000 empty maps", packed({"type": "message", "content": EMPTY * 16_000}), MSGPACK, fault="F22"),
    _case("a length that is not the shortest", LONG_LENGTH, fault="F24", ends_as=frozenset({"bye 1002"})),
    _case(
        "commands of no room",
        text({"type": "leave", "room": "nowhere"}),
        fault="F30",
        rated=True,
        ends_as=REFUSED,
        path=ROOMS,
    ),
    _case(
        "messages to no room",
        text({"type": "message", "room": "nowhere", "content": 1}),
        fault="F30",
        rated=True,
        ends_as=REFUSED,
        path=ROOMS,
    ),
    _case(
        "histories of no room",
        text({"type": "history", "id": 1, "room": "nowhere"}),
        fault="F30",
        rated=True,
        ends_as=REFUSED,
        path=ROOMS,
    ),
)
