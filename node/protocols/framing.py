"""How payloads become what a transport writes: frames of RFC 6455, or messages of ASGI.

A further transport (Server-Sent Events, long polling) is a further value of `Framing`.
"""

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..rfc6455 import Opcode, frame

Chunk = Sized
"""What a framing makes and the writer of a transport with that framing takes. `len` is its size in bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Framing:
    """`join` puts several chunks into one, in order, so that they cost one write."""

    name: str
    text: Callable[[bytes], Chunk]
    binary: Callable[[bytes], Chunk]
    join: Callable[[Iterable[Any]], Chunk]


# ---- RFC 6455

WEBSOCKET_FRAMES = Framing(
    "rfc6455", text=partial(frame, Opcode.TEXT), binary=partial(frame, Opcode.BINARY), join=b"".join
)
"""For a transport that writes to the socket itself."""


# ---- ASGI


class AsgiMessages:
    """Messages that an ASGI server is sent, in order; each payload is decoded once, however many sockets get it."""

    __slots__ = ("_size", "messages")

    def __init__(self, messages: tuple[dict[str, Any], ...], size: int) -> None:
        self.messages = messages
        self._size = size

    def __len__(self) -> int:
        """Return the bytes of the payloads."""
        return self._size


def _text_message(payload: bytes) -> AsgiMessages:
    return AsgiMessages(({"type": "websocket.send", "text": payload.decode()},), len(payload))


def _binary_message(payload: bytes) -> AsgiMessages:
    return AsgiMessages(({"type": "websocket.send", "bytes": payload},), len(payload))


def _join_messages(chunks: Iterable[AsgiMessages]) -> AsgiMessages:
    joined = list(chunks)
    return AsgiMessages(tuple(message for chunk in joined for message in chunk.messages), sum(map(len, joined)))


ASGI_MESSAGES = Framing("asgi", text=_text_message, binary=_binary_message, join=_join_messages)
"""For a transport above an ASGI server, which does the framing."""

FRAMINGS = (WEBSOCKET_FRAMES, ASGI_MESSAGES)
