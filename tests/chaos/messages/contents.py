"""Which message is at which (epoch, offset), by all that clients received and read.

The docstring of `verify.py` describes what is verified here.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from tests.chaos.harness.fault_spans import NEVER, FaultSpan, was_calm
from tests.chaos.harness.lost_keys import has_lost
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.messages.record import Acknowledged, Messages, Page, Position, Record, Subscription

READ_WITHIN = 5.0
"""Seconds from the request of a page until Redis has read it, at most."""
UNITED_AFTER = 6.0
"""Seconds after the last fault by which all connections of all nodes go to one server."""

_Seen = tuple[int, int, str]
"""The number of a message, the digest of its frame, and who received it first."""


class Contents:
    """The messages of all channels of a run."""

    def __init__(self, record: Record, faults: Sequence[FaultSpan] = ()) -> None:
        self._record = record
        self._faults = faults
        self._seen: dict[tuple[str, str], dict[int, _Seen]] = defaultdict(dict)
        """By channel and epoch, then by offset."""
        self._acknowledged_at: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        self._by_number: dict[int, Acknowledged] = {}
        for each in record.acknowledged:
            at = self._acknowledged_at[each.post.channel, each.position.epoch]
            at.setdefault(each.position.offset, each.at)
            self._by_number[each.post.number] = each

    def delays(self, subscription: Subscription) -> Iterator[tuple[float, float, Position]]:
        """For each acknowledged message that arrived: arrival, acknowledgement, position."""
        for epoch, begin, end in runs(subscription):
            acknowledged_at = self._acknowledged_at.get((subscription.channel, epoch), {})
            for index in range(begin, end):
                offset = subscription.messages.offsets[index]
                at = acknowledged_at.get(offset)
                if at is not None:
                    yield subscription.messages.times[index], at, Position(epoch, offset)

    def next_after(self, subscription: Subscription) -> tuple[float, Position] | None:
        """Acknowledgement and position of the message that follows the last position of a subscription."""
        if subscription.position is None:
            return None
        following = Position(subscription.position.epoch, subscription.position.offset + 1)
        at = self._acknowledged_at.get((subscription.channel, following.epoch), {}).get(following.offset)
        return None if at is None else (at, following)

    def verify(self) -> Iterator[Violation]:
        bases = _bases(self._record)
        for subscription in self._record.subscriptions:
            for epoch, begin, end in runs(subscription):
                yield from self._record_run(
                    subscription.channel, epoch, subscription.messages, begin, end, str(subscription)
                )
        for page in self._record.pages:
            reader = f"a page read on {page.node} at {page.asked_at:.3f}"
            yield from self._record_run(page.channel, page.head.epoch, page.entries, 0, len(page.entries), reader)
            kept_after = max(page.head.offset - self._record.kept, bases[page.channel, page.head.epoch])
            yield from _check_page(page, max(kept_after, self._vanished_up_to(page)))
        for each in self._record.acknowledged:
            yield from self._check_acknowledgement(each)
        yield from self._published_once()
        yield from self._lost()
        yield from self._parted()

    def _record_run(
        self, channel: str, epoch: str, messages: Messages, begin: int, end: int, who: str
    ) -> Iterator[Violation]:
        seen = self._seen[channel, epoch]
        for index in range(begin, end):
            offset, number, digest = messages.offsets[index], messages.numbers[index], messages.digests[index]
            before = seen.setdefault(offset, (number, digest, who))
            if before[:2] != (number, digest) or number < 0:
                what = f"{Position(epoch, offset)} is message {number} to {who}, and {before[0]} to {before[2]}"
                yield Violation(Kind.CONFLICTING, messages.times[index], channel, what)

    def _vanished_up_to(self, page: Page) -> int:
        """The last offset that may be missing since a log has vanished: acknowledged before, or not long after that."""
        losses = [span for span in self._faults if has_lost(span, page.channel, "log")]
        since = max((span.until for span in losses if span.began <= page.asked_at + READ_WITHIN), default=-NEVER)
        acknowledged = self._acknowledged_at.get((page.channel, page.head.epoch), {})
        return max((offset for offset, at in acknowledged.items() if at <= since), default=0)

    def _check_acknowledgement(self, each: Acknowledged) -> Iterator[Violation]:
        """The acknowledged position holds the same message for all others."""
        channel, (epoch, offset) = each.post.channel, each.position
        before = self._seen[channel, epoch].setdefault(offset, (each.post.number, 0, "its author"))
        if before[0] != each.post.number:
            what = f"{each.position} is message {each.post.number} to its author, and {before[0]} to {before[2]}"
            yield Violation(Kind.CONFLICTING, each.at, channel, what)

    def _published_once(self) -> Iterator[Violation]:
        """A message has one offset per epoch; without a key it was sent once, so it has one position in all."""
        positions: dict[int, list[tuple[str, Position]]] = defaultdict(list)
        for (channel, epoch), seen in self._seen.items():
            for offset, (number, _, _) in seen.items():
                positions[number].append((channel, Position(epoch, offset)))
        unkeyed = {post.number for post in self._record.unconfirmed if post.key is None}
        unkeyed |= {number for number, each in self._by_number.items() if each.post.key is None}
        for number, its in positions.items():
            if number < 0 or len(its) == 1:
                continue
            is_wrong = (
                len({position.epoch for _, position in its}) < len(its) or len({channel for channel, _ in its}) > 1
            )
            if any(has_lost(span, its[0][0], "once") for span in self._faults) and number not in unkeyed:
                continue
            # Messages that are still in the log when an epoch begins are readable in it at the same offset.
            offsets = {position.offset for _, position in its}
            if is_wrong or (number in unkeyed and len(offsets) > 1):
                at = self._by_number[number].at if number in self._by_number else 0.0
                what = f"message {number} is at {', '.join(str(position) for _, position in its)}"
                yield Violation(Kind.PUBLISHED_TWICE, at, its[0][0], what)

    def _lost(self) -> Iterator[Violation]:
        """A message that was acknowledged before a head was requested is not beyond that head."""
        heads = [(page.channel, page.head, page.asked_at) for page in self._record.pages]
        highest: dict[tuple[str, str], tuple[list[float], list[int]]] = {}
        for key, acknowledged in self._acknowledged_at.items():
            by_time = sorted((at, offset) for offset, at in acknowledged.items())
            highest[key] = ([at for at, _ in by_time], list(accumulate((offset for _, offset in by_time), max)))
        for channel, head, asked_at in heads:
            times, offsets = highest.get((channel, head.epoch), ([], []))
            before = bisect_left(times, asked_at)
            if before and offsets[before - 1] > head.offset:
                what = f"{Position(head.epoch, offsets[before - 1])} was acknowledged,and a later head is {head}"
                yield Violation(Kind.LOST, asked_at, channel, what)

    def _parted(self) -> Iterator[Violation]:
        """In calm times a message is acknowledged in the epoch that pages show later: else they are of two servers.

        Not where it had to be repeated: then the first attempt may have been in an earlier epoch.
        """
        acknowledged: dict[str, list[Acknowledged]] = defaultdict(list)
        for each in sorted(self._record.acknowledged, key=lambda each: each.at):
            if each.tries == 1:
                acknowledged[each.post.channel].append(each)
        for page in self._record.pages:
            its = acknowledged[page.channel]
            for index in range(bisect_left(its, page.asked_at, key=lambda each: each.at) - 1, -1, -1):
                each = its[index]
                if not was_calm(self._faults, each.at - UNITED_AFTER, page.asked_at):
                    break
                if each.position.epoch != page.head.epoch:
                    what = f"{each.position} was acknowledged, and a later head on {page.node} is {page.head}"
                    yield Violation(Kind.LOST, each.at, page.channel, what)
                    break


def runs(subscription: Subscription) -> Iterator[tuple[str, int, int]]:
    """The messages of a subscription by epoch: (epoch, index of the first, index after the last)."""
    begin = subscription.asked if subscription.recovered else subscription.start
    epoch, first = "" if begin is None else begin.epoch, 0
    for resync in subscription.resyncs:
        if resync.position is not None and resync.position.epoch != epoch:
            yield epoch, first, resync.before
            epoch, first = resync.position.epoch, resync.before
    yield epoch, first, len(subscription.messages)


def positions(record: Record) -> Iterator[tuple[str, Position, float]]:
    """All positions that clients received: channel, position, and the latest time at which it came."""
    for subscription in record.subscriptions:
        if subscription.start is not None:
            yield subscription.channel, subscription.start, subscription.at
        for resync in subscription.resyncs:
            if resync.position is not None:
                yield subscription.channel, resync.position, resync.at
    for page in record.pages:
        yield page.channel, page.head, page.asked_at + READ_WITHIN
    for each in record.acknowledged:
        yield each.post.channel, each.position, each.at


def _bases(record: Record) -> dict[tuple[str, str], int]:
    """The lowest known position of each epoch. Messages before it may be lost with the data of Redis."""
    bases: dict[tuple[str, str], int] = {}
    for channel, position, _ in positions(record):
        bases[channel, position.epoch] = min(position.offset, bases.get((channel, position.epoch), position.offset))
    return bases


def _check_page(page: Page, kept_after: int) -> Iterator[Violation]:
    """Offsets increase by one, and size and end are as requested, unless the page says that there is more.

    After `kept_after` no message may be missing.
    """
    offsets, window = page.entries.offsets, page.window
    last = page.head.offset if window.before is None else min(page.head.offset, window.before - 1)
    wrong: str | None = None
    if any(later != earlier + 1 for earlier, later in pairwise(offsets)):
        wrong = "offsets do not increase by one"
    elif len(offsets) > window.limit:
        wrong = f"{len(offsets)} entries"
    elif len(offsets) == 0:
        if last > max(kept_after, window.since or 0):
            wrong = "it is empty"
    elif window.since is None:
        if offsets[-1] != last:
            wrong = f"it does not end with {last}"
    elif not window.since < offsets[0] <= max(window.since, kept_after) + 1:
        wrong = "it does not begin where it should"
    elif offsets[-1] != last and len(offsets) < window.limit and not page.has_more:
        wrong = f"it ends before {last}"
    if wrong is not None:
        span = f"{offsets[0]}..{offsets[-1]}" if len(offsets) else "nothing"
        what = f"{span} on {page.node}, head {page.head}, asked for {window.as_fields()}: {wrong}"
        yield Violation(Kind.BAD_PAGE, page.asked_at, page.channel, what)
