"""F25: clients that come at once, as those of a node that has died do: nobody who is admitted is refused."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from tests.attack.case import Attacker, Case
from tests.attack.peer import Peer, handshake
from tests.attack.writing import text

CONNECTIONS = 100
"""Of each attacker."""
MEGABYTES = 2.0
"""Of the node's memory that these sessions of an attacker take: 20 kB each."""
TAKEN = frozenset({"served", "HTTP 503", "HTTP 503 and served"})
"""What is not taken is refused before it has a session; `bye` and `unavailable` are for nobody."""
_numbers = itertools.count(1)


async def _come_at_once(attacker: Attacker, path: Callable[[int], str], *, joins: bool = False) -> str:
    """All connections are there before the first handshake is sent, and all sessions before the first join."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(attacker.connect()) for _ in range(CONNECTIONS)]
        for peer in peers:
            await peer.send(handshake(path(next(_numbers))))
        for peer in peers:
            await peer.saw("welcome", "large frame", "HTTP 503", "bye 1013")
        if joins:
            await _join_at_once([peer for peer in peers if peer.seen["welcome"]])
        return " and ".join(sorted({_outcome(peer) for peer in peers}))


async def _join_at_once(peers: Sequence[Peer]) -> None:
    for peer in peers:
        await peer.send(text({"type": "join", "id": 1, "room": f"own-{next(_numbers)}"}))
    for peer in peers:
        await peer.saw("ok", "error unavailable")


def _outcome(peer: Peer) -> str:
    return next((what for what in peer.seen if what.startswith(("error", "bye", "HTTP 5"))), "served")


async def _into_one_room(attacker: Attacker) -> str:
    return await _come_at_once(attacker, lambda number: f"/ws/chat/storm?user_id=u{number}")


async def _into_rooms(attacker: Attacker) -> str:
    return await _come_at_once(attacker, lambda number: f"/ws/chat/storm-{number}?user_id=u{number}")


async def _as_agents(attacker: Attacker) -> str:
    return await _come_at_once(attacker, lambda number: f"/ws/agents/storm-{number}?user_id=u{number}")


async def _then_join(attacker: Attacker) -> str:
    return await _come_at_once(attacker, lambda number: f"/ws?user_id=u{number}", joins=True)


CASES = (
    Case("clients that come into one room at once", "F25", _into_one_room, TAKEN, connections_mb=MEGABYTES),
    Case("clients that come into rooms of their own at once", "F25", _into_rooms, TAKEN, connections_mb=MEGABYTES),
    Case("agents that come at once", "F25", _as_agents, TAKEN, connections_mb=MEGABYTES),
    Case("clients that come at once, and join", "F25", _then_join, TAKEN, connections_mb=MEGABYTES),
)
