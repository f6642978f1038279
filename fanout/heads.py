"""The head of a channel's history, as Redis keeps it and scripts return it: `EPOCH OFFSET`."""

from ..shared.publication import Position
from .redis.connection import Reply

HEAD_TTL = 3600
"""Seconds for which a channel's head outlives its last message, at least. Nodes that follow the channel renew it."""


def read_position(reply: Reply) -> Position:
    """The position in a reply `EPOCH OFFSET`. Raises ValueError."""
    if not isinstance(reply, bytes):
        raise ValueError(f"a position of unknown form: {reply!r:.80}")
    epoch, offset = reply.decode().split(" ")
    return Position(epoch, int(offset))
