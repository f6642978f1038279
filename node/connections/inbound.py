"""Bounds on what one client sends: frames that wait for earlier commands, frames that are malformed, and all frames."""

from collections import deque

WAITING_MAX = 64
WAITING_MAX_BYTES = 131_072
"""Frames that wait, and their bytes; beyond either the transport stops reading."""
BAD_FRAMES_MAX = 10
BAD_FRAMES_WINDOW = 60.0
"""Seconds in which BAD_FRAMES_MAX malformed frames end the session."""
FRAMES_MAX = 65_536
"""Frames that a client may send at once, of those that the node handles without asking Redis."""
FRAMES_PER_SECOND = 1_000
"""How many of them it may send in the long run."""


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


class FrameAllowance:
    """How many frames one client may still send: FRAMES_MAX at first, and FRAMES_PER_SECOND more each second.

    It bounds the work of a client that sends without end, whatever it sends: control frames, fragments, commands that
    the node answers by itself, commands that it refuses. A command for which Redis is asked costs nothing, since the
    node reads no faster than Redis answers. It is a sum and no streak of busy turns: a slow node is no fault of the
    client, and a pause now and then no merit. FRAMES_MAX is a message of 64 KiB in fragments of one byte, or one of
    16 MiB in fragments of 256; an honest client sends a burst of a few thousand frames and some hundred a second.
    """

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left: float = FRAMES_MAX
        self._at = now

    def take(self, frames: int, now: float) -> bool:
        """Take so many frames at `now`, in seconds; False: there are not so many left. A negative number gives back."""
        self._left = min(FRAMES_MAX, self._left + (now - self._at) * FRAMES_PER_SECOND) - frames
        self._at = now
        return self._left >= 0
