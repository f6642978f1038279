"""How much of a client a connection bears: commands that wait, and frames that are bad."""

from collections import deque

WAITING_MAX = 64
WAITING_MAX_BYTES = 131_072
"""Commands that wait, and what they weigh; beyond either the carrier stops reading."""
BAD_FRAMES_MAX = 10
BAD_FRAMES_WINDOW = 60.0
"""Seconds in which so many bad frames end the session."""


class InboundQueue:
    """Frames that wait for the commands before them, in order."""

    __slots__ = ("_bytes", "_frames")

    def __init__(self) -> None:
        self._frames: deque[tuple[bytes, bool]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, payload: bytes, binary: bool) -> None:
        self._frames.append((payload, binary))
        self._bytes += len(payload)

    def pop(self) -> tuple[bytes, bool]:
        payload, binary = self._frames.popleft()
        self._bytes -= len(payload)
        return payload, binary

    @property
    def is_full(self) -> bool:
        return len(self._frames) >= WAITING_MAX or self._bytes > WAITING_MAX_BYTES


class BadFrameCounter:
    """Those of the last minute."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=BAD_FRAMES_MAX)

    def one_more(self, now: float) -> bool:
        """True: that was one too many."""
        self._at.append(now)
        return len(self._at) == BAD_FRAMES_MAX and now - self._at[0] < BAD_FRAMES_WINDOW
