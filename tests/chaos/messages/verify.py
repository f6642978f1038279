"""THE ORACLE for messages: record in, violations out. Pure functions; who reads this page knows what a green run shows.

What is promised: each session sees the messages of a channel in the order of their offsets, each once, with no hole;
where a hole can't be ruled out it is told with `resync`, or with `recovered: false` when it comes back.

**Each listener** (`hole`, `duplicate`, `inversion`, `no_place`, `bad_recovery`; here). A stay is one session's time in
one channel. It begins at the place that `welcome` or `ok` of `join` told; with `recovered: true` at the place from
which it had asked, so that all it had missed has to follow; told no place, with the `resync` that has to come before
any message (a node may let agents in while Redis is away). From there each message has to bear the next offset, +1.
A `resync` moves the place: never back, and never into an epoch that the stay has left. Nothing else excuses a leap. A
gap is a `hole`, whoever's fault it was and whether or not the messages were acknowledged; what was heard already in
this epoch, or lay before the place, is a `duplicate`; what fills a hole afterwards is an `inversion`. No fault and no
length of time excuses any of it.

**In the end** (`behind`; here). No fault holds any more, nobody speaks, all have come back: within STABLE_WITHIN every
node tells the same head of each channel, and every listener stands there, without a further message that would show a
hole. So a lost last message is found as well.

**In time** (`late`; here). What was acknowledged reaches a live listener within LATE_AFTER of that, or of the end of
the last fault of Redis, of its node or of itself: also the last message before a silence, and also if it leaves then.
**For a reason** (`needless`; here). A `resync` in calm times, CALM seconds after the last fault of anybody; a refused
recovery of FEW messages in the same epoch, which history has to have (but of an agent, with a fault in the last CALM
seconds: while Redis is away nobody can tell); more epochs than losses of data explain. Without these a product that
always gives up would pass.

**What was said** (`different`, `said_twice`, `lost`, `bad_page`; `contents.py`). One (epoch, offset) is one message,
with the same author, time and content wherever it shows: delivered in either wire format, in pages of history, in the
answer to who published it. One message has one offset in an epoch, however often its author repeated it with its key,
and without a key one offset in all. What was acknowledged before a page was asked for is not beyond that page's head.
Pages are as they were asked for: rising by one, up to their head where nothing bounds them. Over a loss of Redis' data
(empty, stale, failover) an acknowledged message may be gone: that is what a new epoch says, and all who listened hear
of it.

**Manners** (`stray`): nothing after `bye`, nothing of channels that the session is not in, no unexpected errors; and
everybody gets back in. **Nodes** (`node_died`) end only when they are killed.

A run in which too little happened shows nothing: it is REJECTED, which is not a pass (`totals.py`).
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.harness.history import FaultKind, NodeDied
from tests.chaos.harness.troubles import Trouble, troubles_of
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.messages.contents import Contents, places
from tests.chaos.messages.record import NEVER, Place, Record, Stay

LATE_AFTER = 6.0
CALM = 10.0
FEW = 15
LOSES_DATA = {FaultKind.EMPTY_REDIS, FaultKind.STALE_REDIS, FaultKind.FAILOVER}
EPOCHS_PER_LOSS = 2
"""A failover has two: a server changes its identity when its first replica comes, and another one takes over."""


def verify(record: Record) -> list[Violation]:
    """Everything that is wrong with a run, by time."""
    troubles = sorted(troubles_of(record.history))
    contents = Contents(record)
    found: list[Violation] = []
    for stay in record.stays:
        found += arrival(stay)
        found += return_to(stay, min(FEW, record.kept), troubles)
        found += sequence(stay)
        found += reasons(stay, troubles)
        found += delays(stay, contents, [trouble for trouble in troubles if concerns(trouble, stay)])
    found += contents.verify()
    found += ending(record)
    found += epochs(record, troubles)
    found += [Violation(Kind.STRAY, stray.at, stray.about, stray.what) for stray in record.strays]
    found += [Violation(Kind.NODE_DIED, e.at, e.node, e.last_words) for e in record.history.of(NodeDied)]
    return sorted(found, key=lambda violation: violation.at)


def arrival(stay: Stay) -> Iterator[Violation]:
    """Is it told where it begins, and whether it is caught up?"""
    start, asked = stay.start, stay.asked
    if (asked is None) is not (stay.recovered is None):
        told = f"{stay} asked to be caught up from {asked}, and recovered is {stay.recovered}"
        yield Violation(Kind.BAD_RECOVERY, stay.at, stay.channel, told)
    elif stay.recovered and (start is None or asked is None or start.epoch != asked.epoch):
        yield Violation(Kind.BAD_RECOVERY, stay.at, stay.channel, f"{stay} is caught up from {asked} to {start}")
    elif start is None and len(stay.messages) and not (stay.resyncs and stay.resyncs[0].before == 0):
        yield Violation(Kind.NO_PLACE, stay.at, stay.channel, f"{stay} is not told where it begins")


def return_to(stay: Stay, few: int, troubles: list[Trouble]) -> Iterator[Violation]:
    """Does it begin where it was, or behind that, and is it caught up where it can be?"""
    start, asked = stay.start, stay.asked
    if start is None or asked is None or start.epoch != asked.epoch:
        return
    may_be_unheard = stay.channel.startswith("agent:") and not was_calm(troubles, stay.at - CALM, stay.at)
    if stay.recovered is not True and may_be_unheard:
        return
    told = f"{stay} came from {asked}, begins at {start}, and recovered is {stay.recovered}"
    if start.offset < asked.offset:
        yield Violation(Kind.INVERSION, stay.at, stay.channel, told)
    elif stay.recovered is False and start.offset - asked.offset <= few:
        yield Violation(Kind.NEEDLESS, stay.at, stay.channel, told)


class _Walk:
    """A stay, step by step: where it stands, and what it has heard of this epoch."""

    def __init__(self, stay: Stay, start: Place) -> None:
        self.place = start
        self._stay = stay
        self._before = start.offset
        self._heard: set[int] = set()
        self._left: set[str] = set()

    def _violation(self, kind: Kind, at: float, what: str) -> Violation:
        return Violation(kind, at, self._stay.channel, f"{self._stay} at {self.place}: {what}")

    def resync(self, at: float, place: Place | None, reason: str) -> Iterator[Violation]:
        if place is None:
            yield self._violation(Kind.NO_PLACE, at, f"a resync that tells no place ({reason})")
            return
        if place.epoch == self.place.epoch:
            if place.offset < self.place.offset:
                yield self._violation(Kind.INVERSION, at, f"a resync back to {place} ({reason})")
        else:
            if place.epoch in self._left:
                yield self._violation(Kind.INVERSION, at, f"a resync into {place}, which had ended ({reason})")
            self._left.add(self.place.epoch)
            self._heard.clear()
            self._before = place.offset
        self.place = place

    def message(self, at: float, offset: int) -> Violation | None:
        found: Violation | None = None
        epoch, last = self.place
        if offset > last + 1:
            found = self._violation(Kind.HOLE, at, f"the next one is {offset}, {offset - last - 1} are missing")
        elif offset <= last:
            is_known = offset <= self._before or offset in self._heard
            found = self._violation(Kind.DUPLICATE if is_known else Kind.INVERSION, at, f"then comes {offset}")
        self._heard.add(offset)
        self.place = Place(epoch, max(last, offset))
        return found


def beginning(stay: Stay) -> Place | None:
    """Behind which all has to come."""
    return stay.asked if stay.recovered else stay.start


def sequence(stay: Stay) -> Iterator[Violation]:
    """From the beginning each next message, each once."""
    resyncs = iter(stay.resyncs)
    upcoming = next(resyncs, None)
    begin = beginning(stay) or (upcoming and upcoming.place)
    if begin is None:
        return
    walk = _Walk(stay, begin)
    for index, (offset, at) in enumerate(zip(stay.messages.offsets, stay.messages.times, strict=True)):
        while upcoming is not None and upcoming.before == index:
            yield from walk.resync(upcoming.at, upcoming.place, upcoming.reason)
            upcoming = next(resyncs, None)
        if (violation := walk.message(at, offset)) is not None:
            yield violation
    while upcoming is not None:
        yield from walk.resync(upcoming.at, upcoming.place, upcoming.reason)
        upcoming = next(resyncs, None)


def reasons(stay: Stay, troubles: list[Trouble]) -> Iterator[Violation]:
    for resync in stay.resyncs:
        if was_calm(troubles, resync.at - CALM, resync.at):
            told = f"{stay}: a resync to {resync.place} with no fault in {CALM:g} s ({resync.reason})"
            yield Violation(Kind.NEEDLESS, resync.at, stay.channel, told)


def was_calm(troubles: list[Trouble], since: float, until: float) -> bool:
    return not any(trouble.began <= until and trouble.until >= since for trouble in troubles)


def concerns(trouble: Trouble, stay: Stay) -> bool:
    """Another node's freeze or link, or another client's slowness, is nothing to this listener."""
    return trouble.target.partition(" ")[0] in ("redis", stay.node, stay.client)


def delays(stay: Stay, contents: Contents, troubles: list[Trouble]) -> Iterator[Violation]:
    for at, acknowledged_at, place in contents.delays(stay):
        if _is_late(at, max(acknowledged_at, stay.at), troubles):
            told = f"{stay} hears {place} {at - acknowledged_at:.1f} s after it was acknowledged"
            yield Violation(Kind.LATE, at, stay.channel, told)
    lacking = contents.next_after(stay)
    if lacking is not None and stay.ended_at < NEVER:
        acknowledged_at, place = lacking
        if _is_late(stay.ended_at, max(acknowledged_at, stay.at), troubles):
            told = f"{stay} ends {stay.ended_at - acknowledged_at:.1f} s after {place} was acknowledged, without it"
            yield Violation(Kind.LATE, stay.ended_at, stay.channel, told)


def _is_late(at: float, since: float, troubles: list[Trouble]) -> bool:
    return at - since > LATE_AFTER and was_calm(troubles, at - LATE_AFTER, at)


def ending(record: Record) -> Iterator[Violation]:
    """All heads are one, and everybody stands there."""
    heads = {head.channel: head for head in record.heads}
    for head in record.heads:
        if head.place is None or head.place != heads[head.channel].place:
            told = (
                f"{head.node} tells {head.place or 'nothing'}, {heads[head.channel].node} {heads[head.channel].place}"
            )
            yield Violation(Kind.BEHIND, head.at, head.channel, told)
    for stay in record.stays:
        last = heads.get(stay.channel)
        if last is not None and stay.at <= last.at < stay.ended_at and stay.place != last.place:
            told = f"{stay} stands at {stay.place}, and the head is {last.place}"
            yield Violation(Kind.BEHIND, last.at, stay.channel, told)


def epochs(record: Record, troubles: list[Trouble]) -> Iterator[Violation]:
    """A new one begins where data may have been lost."""
    seen: dict[str, dict[str, float]] = defaultdict(dict)
    for channel, place, at in places(record):
        seen[channel][place.epoch] = min(at, seen[channel].get(place.epoch, NEVER))
    losses = [trouble.began for trouble in troubles if trouble.kind in LOSES_DATA]
    for channel, its in seen.items():
        for number, (epoch, at) in enumerate(sorted(its.items(), key=lambda item: item[1])):
            allowed = EPOCHS_PER_LOSS * bisect_left(losses, at)
            if number > allowed:
                told = f"epoch {epoch} is number {number + 1}, and Redis had lost data {bisect_left(losses, at)} times"
                yield Violation(Kind.NEEDLESS, at, channel, told)
                break
