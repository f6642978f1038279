"""The protocol of each server above WebSocket: its path, how a message is sent, and which frames need an answer."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's protocol above WebSocket, as prefixes of text frames."""

    path: str  # {room} and {n}, the number of the socket, are filled in
    ready: bytes  # the frame that confirms the join
    before: bytes = b""  # what a client sends before and after the payload of a message
    after: bytes = b""
    answers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])  # prefix of a frame → its answer

    def encode_message(self, payload: bytes) -> bytes:
        """The text that a client sends to publish `payload` in the room."""
        return self.before + payload + self.after

    def answer(self, text: bytes) -> bytes | None:
        """The answer to a frame that is not a message, or None."""
        for prefix, reply in self.answers.items():
            if text.startswith(prefix):
                return reply
        return None


_TANNOY_PING = {b'{"type":"ping"': b'{"type":"pong"}'}

DIALECTS = {
    "plain": Dialect(path="/ws/{room}", ready=b"hello"),
    "socket.io": Dialect(
        path="/socket.io/?EIO=4&transport=websocket",
        ready=b"40",
        before=b'42["message","',
        after=b'"]',
        answers={b"0": b"40", b"2": b"3"},
    ),
    "tannoy": Dialect(
        path="/ws/chat/{room}?user_id=u{n}",
        ready=b'{"type":"welcome"',
        before=b'{"type":"message","content":"',
        after=b'"}',
        answers=_TANNOY_PING,
    ),
    "tannoy, no room": Dialect(path="/ws?user_id=u{n}", ready=b'{"type":"welcome"', answers=_TANNOY_PING),
}


def make_payload(size: int) -> bytes:
    """The payload of every message, of `size` bytes: plain ASCII, so that no server escapes it."""
    return (b"0123456789abcdefghijklmnopqrstuvwxyz" * (size // 36 + 1))[:size]
