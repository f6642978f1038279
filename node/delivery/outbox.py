"""A socket's bounded output queue, and what happens when it is full.

While the transport keeps up, `write` *is* the transport's own function: back-pressure costs nothing. From `pause` to
`resume` the outbox queues chunks, as references to those that all sockets share, up to `OUTBOX_MAX_BYTES`; then the
slow policy decides.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ...shared.policy import Overflow, SlowPolicy, decide_overflow
from ..protocols.framing import Chunk
from ..transports.base import ClientTransport


@dataclass(frozen=True, slots=True)
class OutboxStatistics:
    slow: int
    """Outboxes that queue now, because their socket is full."""
    overflowed: int
    """Times that an outbox was full, so far."""
    dropped_bytes: int
    """Bytes that were queued, or were to be, and were not sent, so far."""


@dataclass(slots=True)
class OutboxLimits:
    """Shared by all outboxes of a node; so are the counters."""

    max_bytes: int
    policy: SlowPolicy
    slow: int = 0
    overflowed: int = 0
    dropped_bytes: int = 0

    def statistics(self) -> OutboxStatistics:
        return OutboxStatistics(self.slow, self.overflowed, self.dropped_bytes)


class Outbox:
    """`write` is for what channels deliver, `write_direct` for what is for this session alone.

    `on_overflow` is called when the policy closes the connection; `on_skipped` after `resume` when deliveries were
    dropped, so that the client is sent a `resync`.
    """

    __slots__ = (
        "_answers_bytes",
        "_limits",
        "_on_overflow",
        "_on_skipped",
        "_queue",
        "_queued_bytes",
        "_skipped",
        "_transport",
        "session_id",
        "write",
    )

    def __init__(
        self,
        transport: ClientTransport,
        limits: OutboxLimits,
        session_id: str,
        *,
        on_overflow: Callable[[], None],
        on_skipped: Callable[[], None],
    ) -> None:
        self.session_id = session_id
        self.write: Callable[[Chunk], None] = transport.writer()
        self._transport = transport
        self._limits = limits
        self._on_overflow = on_overflow
        self._on_skipped = on_skipped
        self._queue: deque[tuple[Chunk, bool]] | None = None  # None: the transport keeps up
        self._queued_bytes = 0
        self._answers_bytes = 0
        self._skipped = False

    def write_direct(self, chunk: Chunk) -> None:
        """Write what is for this session alone: it is never dropped silently."""
        if self._queue is None:
            self.write(chunk)
        else:
            self._enqueue(chunk, is_answer=True)

    def _enqueue_broadcast(self, chunk: Chunk) -> None:
        self._enqueue(chunk, is_answer=False)

    def _enqueue(self, chunk: Chunk, *, is_answer: bool) -> None:
        queue, size, limits = self._queue, len(chunk), self._limits
        assert queue is not None
        if self._skipped and not is_answer:
            limits.dropped_bytes += size
            return
        # The transport's own buffer counts too: it is the same memory.
        if self._queued_bytes + size + self._transport.buffered() > limits.max_bytes:
            self._overflow(size, is_answer)
            if self._queue is None or not is_answer:
                return
        queue.append((chunk, is_answer))
        self._queued_bytes += size
        if is_answer:
            self._answers_bytes += size

    def _overflow(self, size: int, is_answer: bool) -> None:
        limits = self._limits
        limits.overflowed += 1
        answers = self._answers_bytes + (size if is_answer else 0)
        verdict = decide_overflow(
            limits.policy, is_answer=is_answer, answers_bytes=answers, limit_bytes=limits.max_bytes
        )
        if verdict is Overflow.CLOSE:
            self.discard()
            self._on_overflow()
            return
        assert self._queue is not None
        limits.dropped_bytes += self._queued_bytes - self._answers_bytes + (0 if is_answer else size)
        kept = [entry for entry in self._queue if entry[1]]
        self._queue.clear()
        self._queue.extend(kept)
        self._queued_bytes = self._answers_bytes
        self._skipped = True

    def pause(self) -> None:
        """Queue what is written from now on: the transport is full, and the socket counts as slow."""
        if self._queue is None and self.write is not _drop:
            self._limits.slow += 1
            self._queue = deque()
            self.write = self._enqueue_broadcast

    def resume(self) -> None:
        """Write the queue in one chunk, in order; then call `on_skipped` if something was dropped."""
        if self._queue is None:
            return
        self._limits.slow -= 1
        waiting = self._transport.framing.join([chunk for chunk, _ in self._queue])
        self._queue = None
        self._queued_bytes = self._answers_bytes = 0
        self.write = self._transport.writer()
        if waiting:
            self.write(waiting)
        if self._skipped:
            self._skipped = False
            self._on_skipped()

    def discard(self) -> None:
        """Drop the queue and all that is written from now on: the connection ends."""
        if self._queue is not None:
            self._limits.slow -= 1
            self._limits.dropped_bytes += self._queued_bytes
            self._queue = None
        self.write = _drop

    @property
    def is_slow(self) -> bool:
        return self._queue is not None


def _drop(chunk: Chunk) -> None:
    """The `write` of a socket to which `bye` was sent."""
