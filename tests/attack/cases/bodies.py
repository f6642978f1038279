"""F4, F12: bodies that do not come, and answers that nobody waits for."""

from tests.attack.case import Attacker, Case
from tests.attack.peer import Gone

PATH = "/api/v1/rooms/attacked/messages"
ABORTS = 50


def _head(*fields: str) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *fields, "", ""]
    return "\r\n".join(lines).encode()


async def _abort(attacker: Attacker, request: bytes) -> str:
    """Hang up in the middle of a body, again and again."""
    for _ in range(ABORTS):
        async with attacker.connect() as peer:
            await peer.send(request)
    return "ended"


async def _abort_body(attacker: Attacker) -> str:
    return await _abort(attacker, _head("Content-Length: 1000", "Authorization: Bearer secret") + b'{"content": "')


async def _abort_chunk(attacker: Attacker) -> str:
    return await _abort(attacker, _head("Transfer-Encoding: chunked") + b'c\r\n{"content": "\r\n')


async def _abort_after_expecting(attacker: Attacker) -> str:
    return await _abort(attacker, _head("Content-Length: 1000", "Expect: 100-continue"))


async def _send_too_much(attacker: Attacker) -> str:
    async with attacker.connect() as peer:
        await peer.send(_head("Content-Length: 9000000") + b'{"content": "')
        try:
            await peer.send(b"x" * attacker.budget.at_most(3_000_000))
            await peer.until(lambda: bool(peer.seen))
        except Gone:
            pass
        return await peer.ending(0.2)


CASES = (
    Case("aborted bodies", "F4", _abort_body, frozenset({"ended"})),
    Case("aborted chunks", "F4", _abort_chunk, frozenset({"ended"})),
    Case("aborted after Expect", "F4", _abort_after_expecting, frozenset({"ended"})),
    Case("a body of 9 MB", "F12", _send_too_much, frozenset({"HTTP 413", "ended"})),
)
