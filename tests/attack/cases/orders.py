"""F18: whoever can read and publish in Redis: what nodes have told each other, played again."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.attack.case import Attacker, Case
from tests.attack.cases.forgeries import connect
from tests.attack.eavesdropper import Eavesdropper, Published

KEPT = frozenset({"kept"})


async def _replay_close(attacker: Attacker) -> str:
    """Record how an operator disconnects a session, and play it again when the session has come back."""
    agent, arena = f"victim.{uuid.uuid4().hex}", attacker.arena
    url = f"{arena.attacked.ws_url}/ws/agents/{agent}?session_id=v"
    async with Eavesdropper.on(arena.valkey) as eavesdropper:
        victim = await connect(url)
        async with _unanswered(arena.other.http.delete(f"/api/v1/agents/{agent}/sessions/v")):
            await victim.close_code()
    victim = await connect(url)
    await _play_again(attacker, eavesdropper.heard)
    try:
        await victim.received_since()
    except ConnectionClosed:
        return "closed"
    await victim.close()
    return "kept"


async def _replay_private(attacker: Attacker) -> str:
    arena, user = attacker.arena, f"victim.{uuid.uuid4().hex}"
    victim = await connect(f"{arena.attacked.ws_url}/ws?user_id={user}")
    async with Eavesdropper.on(arena.valkey) as eavesdropper:
        async with _unanswered(arena.other.http.post(f"/api/v1/users/{user}/messages", json={"content": "once"})):
            await eavesdropper.wait_for(lambda each: b"once" in each.payload)
    await _play_again(attacker, eavesdropper.heard)
    heard = len(await victim.received_since())
    await victim.close()
    return "kept" if heard == 1 else f"heard {heard} times"


@asynccontextmanager
async def _unanswered(call: Coroutine[Any, Any, object]) -> AsyncGenerator[None]:
    """Make a call whose answer is not waited for: the node waits for the eavesdropper, as if it were another node."""
    calling = asyncio.create_task(call)
    yield
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)


async def _play_again(attacker: Attacker, heard: list[Published]) -> None:
    """What nodes have told each other; neither messages of rooms and agents nor the echo of a link."""
    for each in heard:
        if not any(kind in each.channel for kind in (b":room:", b":agent:", b":echo:")):
            await attacker.arena.valkey.run("PUBLISH", each.channel, each.payload)


CASES = (
    Case("an order to disconnect, again", "F18", _replay_close, KEPT, by_client=False, sealed=True),
    Case("a private message, again", "F18", _replay_private, KEPT, by_client=False, sealed=True),
)
