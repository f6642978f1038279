"""F10: authors who have as much under way as they may."""

import asyncio
from contextlib import suppress

from tests.attack.case import Attacker, Case
from tests.attack.peer import Gone, Spent
from tests.attack.writing import text

LARGE = text({"type": "message", "id": 1, "content": "x" * 64_000})
LEAVES_WITHIN = 0.5


async def _publish_without_waiting(attacker: Attacker) -> str:
    """In a room of its own."""
    async with attacker.socket(f"/ws/chat/author.{attacker.number}") as peer:
        peer.stop_reading()
        with suppress(Gone, Spent, TimeoutError):
            async with asyncio.timeout(attacker.seconds_left):
                while True:
                    await peer.send(LARGE)
        peer.read_on()
        return await peer.ending(LEAVES_WITHIN)


async def _publish_politely(attacker: Attacker) -> str:
    """The next message when the last one is answered."""
    async with attacker.socket(f"/ws/agents/author.{attacker.number}") as peer:
        sent = 0

        def is_answered() -> bool:
            return peer.seen["ok"] + peer.seen["error unavailable"] + peer.seen["error rate_limited"] >= sent

        try:
            while attacker.goes_on:
                await peer.send(LARGE)
                sent += 1
                await peer.until(is_answered)
        except (Gone, Spent):
            pass
        return await peer.ending(0)


async def _send_privates(attacker: Attacker) -> str:
    private = text({"type": "private", "id": 1, "to": "nobody", "content": "x" * 60_000})
    async with attacker.socket("/ws") as peer:
        with suppress(Gone, Spent, TimeoutError):
            async with asyncio.timeout(attacker.seconds_left):
                while True:
                    await peer.send(private)
        return await peer.ending(LEAVES_WITHIN)


ANY = frozenset({"served", "ended", "bye 4002", "bye 1008", "bye 4505"})
CASES = (
    Case("messages of 64 kB, answers unread", "F10", _publish_without_waiting, ANY),
    Case("messages of 64 kB, one by one", "F10", _publish_politely, ANY),
    Case("privates of 60 kB to nobody", "F10", _send_privates, ANY),
)
