"""F11: handshakes that are begun and never sent: what they cost those that are."""

import asyncio
from contextlib import AsyncExitStack

from tannoy.node.lifecycle.files import raise_file_limit

from tests.attack.case import Attacker, Case

SILENT = 2_000
HANDSHAKES = 500
"""Of clients that mean well, before, beside and behind the silent ones."""
SLOWED_MAX = 2.0
KILOBYTES_EACH = 8
"""Of a connection that the node has accepted."""


async def _p99_of_handshakes(attacker: Attacker) -> float:
    """Milliseconds from the connect to `welcome`, one after the other."""
    loop, took = asyncio.get_running_loop(), list[float]()
    for _ in range(HANDSHAKES):
        began = loop.time()
        async with attacker.socket("/ws"):
            took.append((loop.time() - began) * 1000)
    return sorted(took)[HANDSHAKES * 99 // 100]


async def _say_nothing(attacker: Attacker) -> str:
    """The first attacker has all the connections: ten times as many would be more than a process may open."""
    if attacker.number > 0:
        await asyncio.sleep(attacker.seconds_left)
        return "served"
    raise_file_limit()
    await _p99_of_handshakes(attacker)  # the first ones are slower
    alone = await _p99_of_handshakes(attacker)
    async with AsyncExitStack() as stack:
        for _ in range(SILENT):
            await stack.enter_async_context(attacker.connect())
        beside = await _p99_of_handshakes(attacker)
    alone = max(alone, await _p99_of_handshakes(attacker))  # how busy the machine is may have changed
    if beside > SLOWED_MAX * alone:
        return f"handshakes take {beside:.1f} ms in place of {alone:.1f}"
    return "served"


CASES = (
    Case(
        "2,000 silent handshakes",
        "F11",
        _say_nothing,
        frozenset({"served"}),
        is_long=True,
        connections_mb=SILENT * KILOBYTES_EACH / 1000,
    ),
)
