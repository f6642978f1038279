"""A socket's bounded output queue, and what happens when it is full.

While the transport keeps up, `write` *is* the transport's own function: back-pressure costs nothing. From `pause` to
`resume` the outbox queues chunks, as references to those that all sockets share, up to `OUTBOX_MAX_BYTES`; then the
slow policy decides. Answers to the client's own commands do not count: the command loop bounds them, since it handles
no further command while `owes_answers`. Nor does the text of streams: the outbox owes it, and it is made into one frame
of each stream when the client reads again.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ...shared.policy import Overflow, SlowPolicy, decide_overflow
from ..protocols.framing import Chunk
from ..transports.base import ClientTransport
from .owed_text import OwedText, OwedTexts, StreamKey, TextFrame

ANSWERS_MAX_BYTES = 65_536
"""Bytes of answers that the client has not read, beyond which its further commands wait."""


@dataclass(frozen=True, slots=True)
class OutboxStatistics:
    slow: int
    """Outboxes that queue now, because their socket is full."""
    queued_bytes: int
    """Bytes that they queue now."""
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
    queued_bytes: int = 0
    overflowed: int = 0
    dropped_bytes: int = 0

    def statistics(self) -> OutboxStatistics:
        return OutboxStatistics(self.slow, self.queued_bytes, self.overflowed, self.dropped_bytes)


class Outbox:
    """`write` is for what channels deliver, `write_direct` for what else is sent to this session alone.

    `write_answer` is for answers to its commands, and for the missed messages that belong to the answer of a join.
    `on_overflow` is called when the policy closes the connection; `on_skipped` after `resume` when deliveries were
    dropped, so that the client is sent a `resync`.
    """

    __slots__ = (
        "_answers_bytes",
        "_answers_written",
        "_buffered_before",
        "_direct_bytes",
        "_limits",
        "_on_overflow",
        "_on_skipped",
        "_owed",
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
        self._queue: deque[tuple[Chunk, bool]] | None = None  # chunk, never dropped; None: the transport keeps up
        self._queued_bytes = 0  # without answers
        self._direct_bytes = 0  # of these, what `write_direct` has queued
        self._answers_bytes = 0
        self._answers_written = 0  # bytes of answers that the transport was given since it was last seen empty
        self._buffered_before: int | None = None
        self._skipped = False
        self._owed: OwedTexts | None = None  # text of streams that is, or was, owed

    def write_answer(self, chunk: Chunk) -> None:
        """Write an answer to a command of this client: it is never dropped, and it never counts as slowness."""
        if self._queue is not None:
            self._queue.append((chunk, True))
            self._answers_bytes += len(chunk)
            self._limits.queued_bytes += len(chunk)
            return
        if not self._transport.buffered():
            self._answers_written = 0
        self._answers_written += len(chunk)
        self.write(chunk)

    @property
    def owes_answers(self) -> bool:
        """Whether the client has to read answers before its further commands are handled."""
        if self._queue is None:
            return False
        return self._answers_bytes + min(self._answers_written, self._transport.buffered()) > ANSWERS_MAX_BYTES

    def write_direct(self, chunk: Chunk) -> None:
        """Write what is for this session alone: it is never dropped silently."""
        if self._queue is None:
            self.write(chunk)
        else:
            self._enqueue(chunk, is_direct=True)

    # ---- text of streams

    def owe(self, stream: StreamKey, start: int | None, frame: TextFrame) -> None:
        """Owe a slow client the text of a stream from `start`, or all of it; with what comes until it reads again."""
        assert self._queue is not None
        if self._owed is None:
            self._owed = OwedTexts()
        if (text := self._owed.add(stream, start, frame)) is not None:
            self._queue.append((text, True))

    @property
    def has_paid(self) -> bool:
        """Whether it has written text of streams that was owed, and that a delivery may bring yet."""
        return self._owed is not None and bool(self._owed.paid)

    def was_paid(self, stream: StreamKey, start: int | None, end: int) -> bool:
        """Whether the client was given the text of a stream from `start` to `end` with what was owed."""
        return self._owed is not None and self._owed.was_paid(stream, start, end)

    @property
    def is_slow(self) -> bool:
        """Whether what is written waits behind what the client has not read."""
        return self._queue is not None

    @property
    def is_discarded(self) -> bool:
        """Whether the connection ends: what is written is dropped."""
        return self.write is _drop

    def _enqueue_broadcast(self, chunk: Chunk) -> None:
        self._enqueue(chunk, is_direct=False)

    def _enqueue(self, chunk: Chunk, *, is_direct: bool) -> None:
        queue, size, limits = self._queue, len(chunk), self._limits
        assert queue is not None
        if self._skipped and not is_direct:
            limits.dropped_bytes += size
            return
        # The transport's own buffer counts too: it is the same memory.
        buffered = max(0, self._transport.buffered() - self._answers_written)
        if self._queued_bytes + size + buffered > limits.max_bytes:
            self._overflow(size, is_direct)
            if self._queue is None or not is_direct:
                return
        queue.append((chunk, is_direct))
        self._queued_bytes += size
        limits.queued_bytes += size
        if is_direct:
            self._direct_bytes += size

    def _overflow(self, size: int, is_direct: bool) -> None:
        limits = self._limits
        limits.overflowed += 1
        direct = self._direct_bytes + (size if is_direct else 0)
        verdict = decide_overflow(limits.policy, is_direct=is_direct, direct_bytes=direct, limit_bytes=limits.max_bytes)
        if verdict is Overflow.CLOSE:
            self.discard()
            self._on_overflow()
            return
        assert self._queue is not None
        broadcast = self._queued_bytes - self._direct_bytes
        limits.queued_bytes -= broadcast
        limits.dropped_bytes += broadcast + (0 if is_direct else size)
        kept = [entry for entry in self._queue if entry[1]]
        self._queue.clear()
        self._queue.extend(kept)
        self._queued_bytes = self._direct_bytes
        self._skipped = True

    def pause(self) -> None:
        """Queue what is written from now on: the transport is full, and the socket counts as slow."""
        if self._queue is None and self.write is not _drop:
            self._limits.slow += 1
            self._queue = deque()
            self._buffered_before = None
            self.write = self._enqueue_broadcast

    def resume(self) -> None:
        """Write the queue in one chunk, in order; then call `on_skipped` if something was dropped."""
        if self._queue is None:
            return
        self._limits.slow -= 1
        self._limits.queued_bytes -= self._queued_bytes + self._answers_bytes
        queue, self._queue = self._queue, None
        waiting = self._transport.framing.join(self._take_chunks(queue))
        self._answers_written = self._answers_bytes
        self._queued_bytes = self._direct_bytes = self._answers_bytes = 0
        self.write = self._transport.writer()
        if waiting:
            self.write(waiting)
        if queue:
            self._resume_later(queue)
        if self._skipped:
            self._skipped = False
            self._on_skipped()

    def _take_chunks(self, queue: deque[tuple[Chunk, bool]]) -> list[Chunk]:
        """Take the chunks from the queue. Where text of streams is owed, only what the transport is given at once."""
        if self._owed is None or not self._owed.has_any:
            chunks = [chunk for chunk, _ in queue]
            queue.clear()
            return chunks
        taken: list[Chunk] = []
        size = 0
        while queue and size <= self._limits.max_bytes:
            chunk, _ = queue.popleft()
            if isinstance(chunk, OwedText):
                chunk = self._owed.pay(chunk, self._limits.max_bytes)
            taken.append(chunk)
            size += len(chunk)
        return taken

    def _resume_later(self, queue: deque[tuple[Chunk, bool]]) -> None:
        """Put back what was too much for once: in front of what has been queued meanwhile, if anything was."""
        if self.write is _drop:
            return
        if self._queue is None:  # the transport keeps up
            self._queue = queue
            self._limits.slow += 1
            self.resume()
            return
        self._queue.extendleft(reversed(queue))
        kept = sum(len(chunk) for chunk, is_kept in queue if is_kept)
        rest = sum(len(chunk) for chunk, is_kept in queue if not is_kept)
        self._answers_bytes += kept
        self._queued_bytes += rest
        self._limits.queued_bytes += kept + rest

    def discard(self) -> None:
        """Drop the queue and all that is written from now on: the connection ends."""
        if self._queue is not None:
            self._limits.slow -= 1
            self._limits.queued_bytes -= self._queued_bytes + self._answers_bytes
            self._limits.dropped_bytes += self._queued_bytes + self._answers_bytes
            self._queue = None
        self.write = _drop

    def has_progressed(self) -> bool:
        """Whether the client reads what waits for it: whether it has read some of it since the last call."""
        if self._queue is None:
            return False
        buffered, before = self._transport.buffered(), self._buffered_before
        self._buffered_before = buffered
        return before is None or buffered < before


def _drop(chunk: Chunk) -> None:
    """The `write` of a socket to which `bye` was sent."""
