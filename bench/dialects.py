"""The protocol of each server above WebSocket: its path, how a message is sent, and which frames need an answer."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's protocol above WebSocket, as prefixes of text frames."""

    path: str  # {room} and {n}, the number of the socket, are filled in
    ready: bytes  # the frame that confirms the join; empty: the upgrade does
    before: bytes = b""  # what a client sends before and after the payload of a message; {room} is filled in
    after: bytes = b""
    answers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])  # prefix of a frame → its answer
    opening: str = ""  # what a client sends first; {room} is filled in

    def encode_message(self, room: str, payload: bytes) -> bytes:
        """The text that a client sends to publish `payload` in the room."""
        return self.before.replace(b"{room}", room.encode()) + payload + self.after

    def find_path(self, room: str, number: int) -> str:
        """The path to which a socket of this number connects."""
        return self.path.replace("{room}", room).replace("{n}", str(number))

    def encode_opening(self, room: str) -> bytes:
        """The text that a client sends first, to join the room; empty if its path does that."""
        return self.opening.replace("{room}", room).encode()

    def answer(self, text: bytes) -> bytes | None:
        """The answer to a frame, or a line of one, that is not a message, or None."""
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
    # Of several commands or replies in one frame each is a line.
    "centrifugo": Dialect(
        path="/connection/websocket",
        ready=b'{"id":2,"subscribe"',
        before=b'{"id":3,"publish":{"channel":"{room}","data":"',
        after=b'"}}',
        answers={b"{}": b"{}"},
        opening='{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"{room}"}}',
    ),
    "nchan": Dialect(path="/ws/{room}", ready=b""),
    "tannoy, no room": Dialect(path="/ws?user_id=u{n}", ready=b'{"type":"welcome"', answers=_TANNOY_PING),
}


def make_payload(size: int) -> bytes:
    """The payload of every message, of `size` bytes: plain ASCII, so that no server escapes it."""
    return (b"0123456789abcdefghijklmnopqrstuvwxyz" * (size // 36 + 1))[:size]
