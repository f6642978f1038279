"""Bounds on what one client sends: frames that wait for earlier commands, and frames that are malformed."""

from collections import deque

WAITING_MAX = 64
WAITING_MAX_BYTES = 131_072
"""Frames that wait, and their bytes; beyond either the transport stops reading."""
BAD_FRAMES_MAX = 10
BAD_FRAMES_WINDOW = 60.0
"""Seconds in which BAD_FRAMES_MAX malformed frames end the session."""


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
    """Malformed frames within the last BAD_FRAMES_WINDOW."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=BAD_FRAMES_MAX)

    def add(self, now: float) -> bool:
        """Count one more at `now`, in seconds; True: that was one too many."""
        self._at.append(now)
        return len(self._at) == BAD_FRAMES_MAX and now - self._at[0] < BAD_FRAMES_WINDOW
