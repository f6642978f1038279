"""The turn of a handshake that a server below has read: `node/server/paced_protocol.py` is without a task."""

import asyncio

from ..admission.handshake import Handshake, Rejected
from .base import ConnectionFactory


async def wait_for_turn(node: ConnectionFactory, handshake: Handshake) -> Rejected | None:
    """Return when it is the turn of a handshake; or when it is to be refused, and how."""
    if (rejected := node.find_early_refusal(handshake)) is not None:
        if rejected.delay:
            await asyncio.sleep(rejected.delay)
        return rejected
    turn = asyncio.Event()
    if not node.handshakes.run(turn, turn.set):
        try:
            await turn.wait()
        finally:
            node.handshakes.remove(turn)
    return None
