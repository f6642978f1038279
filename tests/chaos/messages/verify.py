"""The oracle for messages: record in, violations out. Pure functions, no I/O.

The promise: each session receives the messages of a channel in the order of their offsets, each once and without a
hole. Where a hole cannot be ruled out, it is announced by `resync`, or by `recovered: false` when the session returns.

**Each listener** (`hole`, `duplicate`, `reordered`, `no_position`, `bad_recovery`; in this file). A subscription is the
time of one session in one channel. It begins at the position in `welcome` or in the `ok` of `join`; with
`recovered: true` at the position from which it asked to recover, so that all missed messages have to follow; without a
position at the `resync` that has to come before any message (a node may admit agents while Redis is away). From there
each message has to have the next offset, +1. A `resync` moves the position: never back, and never into an epoch that
the subscription has left. Nothing else excuses a jump. A gap is a `hole`, whatever its cause and whether or not the
messages were acknowledged; a message that was received before in this epoch, or lies before the position, is a
`duplicate`; a message that fills a hole later is `reordered`. No fault and no length of time is an excuse.

**Each client of the product** (in `verify_reads.py`), over all its connections.

**After the faults** (`behind`; in this file). No fault is in effect, no message is published, all clients have
returned: within STABLE_WITHIN every node has the same head of each channel, and every listener has that position,
without a further message that would reveal a hole. So the loss of a last message is found as well.

**In time** (`late`; in this file). An acknowledged message reaches a live listener within LATE_AFTER of its
acknowledgement, or of the end of the last fault of Redis, of the listener's node or of the listener: also the last
message before a pause, and also if the listener leaves then.
**For a reason** (`needless`; in this file). No `resync` in calm times, CALM seconds after the last fault anywhere; no
refused recovery of at most FEW messages in the same epoch, which history has to contain (except of an agent with a
fault in the last CALM seconds: while Redis is away the node cannot know; and of a channel whose log has vanished); no
more epochs than losses of data explain.
Without these rules a product that always gives up would pass.

**Contents** (`conflicting`, `published_twice`, `lost`, `bad_page`; in `contents.py`). One (epoch, offset) is one
message, with the same author, time and content wherever it appears: delivered in either wire format, in pages of
history, in the answer to its author. One message has one offset in an epoch, however often its author repeated it with
its key, and without a key one offset in all. A message that was acknowledged before a page was requested is not beyond
the head of that page. Pages are as requested: offsets increase by one, up to the head if no other bound is given. When
Redis loses data (restarted empty or with old data, failover, another server) acknowledged messages may be lost: a new
epoch announces that, and every subscriber learns of it. In calm times a message is acknowledged in the epoch of all
later pages: a node that still publishes to a former server loses messages, and nobody is told. Of the messages of a log
that has vanished, pages may lack those that were acknowledged before. A message whose idempotency key has vanished may
be published twice.

**Protocol** (`unexpected`): no frame after `bye`, no frame of a channel that the session is not in, no unexpected
error; and every client can return. **Nodes** (`node_died`) exit only when they are killed.

A run in which too little happened proves nothing: it is rejected (`totals.too_little`), which is not a pass.
"""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.harness.fault_spans import FaultSpan, fault_spans_of, was_calm
from tests.chaos.harness.history import SWITCHES, FaultKind, NodeDied
from tests.chaos.harness.lost_keys import has_lost
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.messages.contents import Contents, positions
from tests.chaos.messages.record import NEVER, Position, Record, Subscription
from tests.chaos.messages.verify_reads import verify_reads

LATE_AFTER = 6.0
"""Seconds."""
CALM = 10.0
"""Seconds."""
FEW = 15
"""Messages."""
LOSES_DATA = {FaultKind.EMPTY_REDIS, FaultKind.STALE_REDIS, FaultKind.FAILOVER, FaultKind.VANISH, *SWITCHES}
EPOCHS_PER_LOSS = 2
"""A failover has two: a server changes its identity when its first replica connects, and again by the promotion."""
EPOCHS_PER_SWITCH = 6
"""A node that goes to two servers states to each the later life of the other, with each heartbeat and connection: that
ends its own."""


def verify(record: Record) -> list[Violation]:
    """All violations of a run, by time."""
    faults = sorted(fault_spans_of(record.history))
    contents = Contents(record, faults)
    found: list[Violation] = []
    for subscription in record.subscriptions:
        found += beginning(subscription)
        found += recovery(subscription, min(FEW, record.kept), faults)
        found += sequence(subscription)
        found += needless_resyncs(subscription, faults)
        found += delays(subscription, contents, [span for span in faults if _may_delay(span, subscription)])
    found += contents.verify()
    found += last_positions(record)
    found += epochs(record, faults)
    found += verify_reads(record.reads, record.acknowledged, record.heads)
    found += [Violation(Kind.UNEXPECTED, each.at, each.about, each.what) for each in record.unexpected]
    found += [Violation(Kind.NODE_DIED, e.at, e.node, e.last_words) for e in record.history.of(NodeDied)]
    return sorted(found, key=lambda violation: violation.at)


def beginning(subscription: Subscription) -> Iterator[Violation]:
    """It begins with a position, and says whether it is recovered if recovery was requested."""
    start, asked = subscription.start, subscription.asked
    if (asked is None) is not (subscription.recovered is None):
        evidence = f"{subscription} asked to recover from {asked}, and recovered is {subscription.recovered}"
        yield Violation(Kind.BAD_RECOVERY, subscription.at, subscription.channel, evidence)
    elif subscription.recovered and (start is None or asked is None or start.epoch != asked.epoch):
        yield Violation(
            Kind.BAD_RECOVERY,
            subscription.at,
            subscription.channel,
            f"{subscription} recovers from {asked} to {start}",
        )
    elif (
        start is None
        and len(subscription.messages)
        and not (subscription.resyncs and subscription.resyncs[0].before == 0)
    ):
        yield Violation(
            Kind.NO_POSITION, subscription.at, subscription.channel, f"{subscription} has no position at its beginning"
        )


def recovery(subscription: Subscription, few: int, faults: list[FaultSpan]) -> Iterator[Violation]:
    """A returning session begins at its position or after it, and is recovered where that is possible."""
    start, asked = subscription.start, subscription.asked
    if start is None or asked is None or start.epoch != asked.epoch:
        return
    may_be_unknown = subscription.channel.startswith("agent:") and not was_calm(
        faults, subscription.at - CALM, subscription.at
    )
    may_be_unknown |= any(
        span.began <= subscription.at <= span.until and has_lost(span, subscription.channel, "log") for span in faults
    )
    if subscription.recovered is not True and may_be_unknown:
        return
    evidence = f"{subscription} returned at {asked}, begins at {start}, and recovered is {subscription.recovered}"
    if start.offset < asked.offset:
        yield Violation(Kind.REORDERED, subscription.at, subscription.channel, evidence)
    elif subscription.recovered is False and start.offset - asked.offset <= few:
        yield Violation(Kind.NEEDLESS, subscription.at, subscription.channel, evidence)


class _Walk:
    """A subscription, step by step: its position, and the offsets received in this epoch."""

    def __init__(self, subscription: Subscription, start: Position) -> None:
        self.position = start
        self._subscription = subscription
        self._before = start.offset
        self._received: set[int] = set()
        self._left: set[str] = set()

    def _violation(self, kind: Kind, at: float, what: str) -> Violation:
        return Violation(kind, at, self._subscription.channel, f"{self._subscription} at {self.position}: {what}")

    def resync(self, at: float, position: Position | None, reason: str) -> Iterator[Violation]:
        if position is None:
            yield self._violation(Kind.NO_POSITION, at, f"a resync without a position ({reason})")
            return
        if position.epoch == self.position.epoch:
            if position.offset < self.position.offset:
                yield self._violation(Kind.REORDERED, at, f"a resync back to {position} ({reason})")
        else:
            if position.epoch in self._left:
                yield self._violation(Kind.REORDERED, at, f"a resync into {position}, which had ended ({reason})")
            self._left.add(self.position.epoch)
            self._received.clear()
            self._before = position.offset
        self.position = position

    def message(self, at: float, offset: int) -> Violation | None:
        found: Violation | None = None
        epoch, last = self.position
        if offset > last + 1:
            found = self._violation(Kind.HOLE, at, f"the next one is {offset}, {offset - last - 1} are missing")
        elif offset <= last:
            is_known = offset <= self._before or offset in self._received
            found = self._violation(Kind.DUPLICATE if is_known else Kind.REORDERED, at, f"then comes {offset}")
        self._received.add(offset)
        self.position = Position(epoch, max(last, offset))
        return found


def first_position(subscription: Subscription) -> Position | None:
    """The position after which all messages have to come."""
    return subscription.asked if subscription.recovered else subscription.start


def sequence(subscription: Subscription) -> Iterator[Violation]:
    """From the first position on each message comes once and in order."""
    resyncs = iter(subscription.resyncs)
    upcoming = next(resyncs, None)
    begin = first_position(subscription) or (upcoming and upcoming.position)
    if begin is None:
        return
    walk = _Walk(subscription, begin)
    for index, (offset, at) in enumerate(zip(subscription.messages.offsets, subscription.messages.times, strict=True)):
        while upcoming is not None and upcoming.before == index:
            yield from walk.resync(upcoming.at, upcoming.position, upcoming.reason)
            upcoming = next(resyncs, None)
        if (violation := walk.message(at, offset)) is not None:
            yield violation
    while upcoming is not None:
        yield from walk.resync(upcoming.at, upcoming.position, upcoming.reason)
        upcoming = next(resyncs, None)


def needless_resyncs(subscription: Subscription, faults: list[FaultSpan]) -> Iterator[Violation]:
    for resync in subscription.resyncs:
        if was_calm(faults, resync.at - CALM, resync.at):
            evidence = f"{subscription}: a resync to {resync.position} with no fault in {CALM:g} s ({resync.reason})"
            yield Violation(Kind.NEEDLESS, resync.at, subscription.channel, evidence)


def concerns(span: FaultSpan, subscription: Subscription) -> bool:
    """Whether a fault can affect this subscription: faults of other nodes and of other clients cannot."""
    return span.target.partition(" ")[0] in ("redis", subscription.node, subscription.client)


def _may_delay(span: FaultSpan, subscription: Subscription) -> bool:
    """Keys that vanish delay no message."""
    return concerns(span, subscription) and span.kind is not FaultKind.VANISH


def delays(subscription: Subscription, contents: Contents, faults: list[FaultSpan]) -> Iterator[Violation]:
    for at, acknowledged_at, position in contents.delays(subscription):
        if _is_late(at, max(acknowledged_at, subscription.at), faults):
            evidence = f"{subscription} receives {position} {at - acknowledged_at:.1f} s after it was acknowledged"
            yield Violation(Kind.LATE, at, subscription.channel, evidence)
    lacking = contents.next_after(subscription)
    if lacking is not None and subscription.ended_at < NEVER:
        acknowledged_at, position = lacking
        if _is_late(subscription.ended_at, max(acknowledged_at, subscription.at), faults):
            seconds = subscription.ended_at - acknowledged_at
            evidence = f"{subscription} ends {seconds:.1f} s after {position} was acknowledged, without it"
            yield Violation(Kind.LATE, subscription.ended_at, subscription.channel, evidence)


def _is_late(at: float, since: float, faults: list[FaultSpan]) -> bool:
    return at - since > LATE_AFTER and was_calm(faults, at - LATE_AFTER, at)


def last_positions(record: Record) -> Iterator[Violation]:
    """All nodes have the same head, and all listeners its position."""
    heads = {head.channel: head for head in record.heads}
    for head in record.heads:
        if head.position is None or head.position != heads[head.channel].position:
            last = heads[head.channel]
            evidence = f"{head.node} has {head.position or 'no head'}, {last.node} has {last.position}"
            yield Violation(Kind.BEHIND, head.at, head.channel, evidence)
    for subscription in record.subscriptions:
        end = heads.get(subscription.channel)
        if end is None or not subscription.at <= end.at < subscription.ended_at:
            continue
        if subscription.position != end.position:
            evidence = f"{subscription} is at {subscription.position}, and the head is {end.position}"
            yield Violation(Kind.BEHIND, end.at, subscription.channel, evidence)


def epochs(record: Record, faults: list[FaultSpan]) -> Iterator[Violation]:
    """A new epoch begins only where data may have been lost."""
    seen: dict[str, dict[str, float]] = defaultdict(dict)
    for channel, position, at in positions(record):
        seen[channel][position.epoch] = min(at, seen[channel].get(position.epoch, NEVER))
    losses = [span for span in faults if span.kind in LOSES_DATA]
    for channel, its in seen.items():
        for number, (epoch, at) in enumerate(sorted(its.items(), key=lambda item: item[1])):
            before = [span.kind in SWITCHES for span in losses if span.began < at]
            if number > sum(EPOCHS_PER_SWITCH if is_switch else EPOCHS_PER_LOSS for is_switch in before):
                evidence = f"epoch {epoch} is number {number + 1}, and Redis had lost data {len(before)} times"
                yield Violation(Kind.NEEDLESS, at, channel, evidence)
                break
