"""F2: heads of requests without end, and with far too much in them."""

from collections.abc import Callable

from tests.attack.case import Attacker, Case
from tests.attack.peer import Gone

REFUSED = frozenset({"HTTP 431", "HTTP 414", "HTTP 400", "HTTP 404", "ended"})
"""`ended`: a connection that is reset while the attacker still sends has lost the answer."""
ENDS_WITHIN = 0.2
WEBSOCKET = (
    "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
SIZE = 3_000_000
"""Bytes of a head at most. One attacker sends three of them."""


async def _send_head(attacker: Attacker, head: bytes) -> str:
    async with attacker.connect() as peer:
        try:
            await peer.send(head[: attacker.budget.at_most(SIZE)])
            await peer.until(lambda: bool(peer.seen))
        except Gone:
            pass
        return await peer.ending(ENDS_WITHIN)


def _case(name: str, build: Callable[[], str], *, may_be_served: bool = False) -> Case:
    async def attack(attacker: Attacker) -> str:
        return await _send_head(attacker, build().encode())

    return Case(name, "F2", attack, REFUSED | {"served"} if may_be_served else REFUSED)


REPEATED = "a:\r\n"
CASES = (
    _case("a header repeated 100,000 times", lambda: f"GET /ws HTTP/1.1\r\n{WEBSOCKET}{REPEATED * 100_000}\r\n"),
    _case("a million headers", lambda: f"GET / HTTP/1.1\r\nHost: a\r\n{REPEATED * (SIZE // 4)}\r\n"),
    _case("a query of 3 MB", lambda: f"GET /ws?{'a&' * (SIZE // 2)} HTTP/1.1\r\n{WEBSOCKET}\r\n"),
    _case("a query of 3 MB with escapes", lambda: f"GET /ws?%20=&{'a&' * (SIZE // 2)} HTTP/1.1\r\n{WEBSOCKET}\r\n"),
    _case("a header value without end", lambda: f"GET / HTTP/1.1\r\nHost: a\r\nX: {'x' * SIZE}"),
    _case(
        "as many headers as fit", lambda: f"GET /ws HTTP/1.1\r\n{WEBSOCKET}{REPEATED * 3_900}\r\n", may_be_served=True
    ),
    _case("the longest path", lambda: f"GET /{'a' * 15_000} HTTP/1.1\r\n{WEBSOCKET}\r\n", may_be_served=True),
    _case("the longest query", lambda: f"GET /ws?{'%20=&' * 3_000} HTTP/1.1\r\n{WEBSOCKET}\r\n", may_be_served=True),
)
