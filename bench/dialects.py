"""How to speak to each server: its paths, how a message is said to it, and what it wants answered."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's protocol above WebSocket, as prefixes of text frames."""

    path: str  # {room} and {n}, the number of the socket, are filled in
    ready: bytes  # the frame that says: you are in the room
    before: bytes = b""  # what stands around the payload of a message said by a client
    after: bytes = b""
    answers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])  # frames that want an answer, and which

    def say(self, payload: bytes) -> bytes:
        """The text a client sends to say `payload` to the room."""
        return self.before + payload + self.after

    def answer(self, text: bytes) -> bytes | None:
        """What to send back for a frame that is no message; None: nothing."""
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
    """The payload of every message: plain ASCII, so that no server escapes or lengthens it."""
    return (b"0123456789abcdefghijklmnopqrstuvwxyz" * (size // 36 + 1))[:size]
