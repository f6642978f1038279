"""What stands where: every (epoch, offset) that anybody was told of, and which message that is.

What this verifies is described at the head of `verify.py`.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate, pairwise

from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.messages.record import Acknowledged, Messages, Page, Place, Record, Stay

_Told = tuple[int, int, str]
"""The number of a message, the digest of its frame, and who was told first."""


class Contents:
    """Of all channels of a run."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._told: dict[tuple[str, str], dict[int, _Told]] = defaultdict(dict)
        """By channel and epoch, then by offset."""
        self._acknowledged_at: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        self._by_number: dict[int, Acknowledged] = {}
        for each in record.acknowledged:
            at = self._acknowledged_at[each.post.channel, each.place.epoch]
            at.setdefault(each.place.offset, each.at)
            self._by_number[each.post.number] = each

    def delays(self, stay: Stay) -> Iterator[tuple[float, float, Place]]:
        """For each message: when it came, when it was acknowledged, and its place; if it ever was acknowledged."""
        for epoch, begin, end in runs(stay):
            acknowledged_at = self._acknowledged_at.get((stay.channel, epoch), {})
            for index in range(begin, end):
                offset = stay.messages.offsets[index]
                at = acknowledged_at.get(offset)
                if at is not None:
                    yield stay.messages.times[index], at, Place(epoch, offset)

    def next_after(self, stay: Stay) -> tuple[float, Place] | None:
        """When the message was acknowledged that comes next where a stay stands at last, and its place."""
        if stay.place is None:
            return None
        following = Place(stay.place.epoch, stay.place.offset + 1)
        at = self._acknowledged_at.get((stay.channel, following.epoch), {}).get(following.offset)
        return None if at is None else (at, following)

    def verify(self) -> Iterator[Violation]:
        bases = _bases(self._record)
        for stay in self._record.stays:
            for epoch, begin, end in runs(stay):
                yield from self._tell(stay.channel, epoch, stay.messages, begin, end, str(stay))
        for page in self._record.pages:
            told = f"a page read on {page.node} at {page.asked_at:.3f}"
            yield from self._tell(page.channel, page.head.epoch, page.entries, 0, len(page.entries), told)
            yield from _form(page, max(page.head.offset - self._record.kept, bases[page.channel, page.head.epoch]))
        for each in self._record.acknowledged:
            yield from self._answered(each)
        yield from self._said_once()
        yield from self._lost()

    def _tell(
        self, channel: str, epoch: str, messages: Messages, begin: int, end: int, who: str
    ) -> Iterator[Violation]:
        told = self._told[channel, epoch]
        for index in range(begin, end):
            offset, number, digest = messages.offsets[index], messages.numbers[index], messages.digests[index]
            before = told.setdefault(offset, (number, digest, who))
            if before[:2] != (number, digest) or number < 0:
                what = f"{Place(epoch, offset)} is message {number} to {who}, and {before[0]} to {before[2]}"
                yield Violation(Kind.DIFFERENT, messages.times[index], channel, what)

    def _answered(self, each: Acknowledged) -> Iterator[Violation]:
        """What its author was told fits what others were."""
        channel, (epoch, offset) = each.post.channel, each.place
        before = self._told[channel, epoch].setdefault(offset, (each.post.number, 0, "its author"))
        if before[0] != each.post.number:
            what = f"{each.place} is message {each.post.number} to its author, and {before[0]} to {before[2]}"
            yield Violation(Kind.DIFFERENT, each.at, channel, what)

    def _said_once(self) -> Iterator[Violation]:
        """A message has one offset in an epoch; without a key it was handed in once, and so it has one place in all."""
        places: dict[int, list[tuple[str, Place]]] = defaultdict(list)
        for (channel, epoch), told in self._told.items():
            for offset, (number, _, _) in told.items():
                places[number].append((channel, Place(epoch, offset)))
        unkeyed = {post.number for post in self._record.given_up if post.key is None}
        unkeyed |= {number for number, each in self._by_number.items() if each.post.key is None}
        for number, its in places.items():
            if number < 0 or len(its) == 1:
                continue
            is_wrong = len({place.epoch for _, place in its}) < len(its) or len({channel for channel, _ in its}) > 1
            # What is left of the log when an epoch begins is readable in the new one, at the same offset.
            offsets = {place.offset for _, place in its}
            if is_wrong or (number in unkeyed and len(offsets) > 1):
                at = self._by_number[number].at if number in self._by_number else 0.0
                what = f"message {number} stands at {', '.join(str(place) for _, place in its)}"
                yield Violation(Kind.SAID_TWICE, at, its[0][0], what)

    def _lost(self) -> Iterator[Violation]:
        """What was acknowledged before a head was asked for is not beyond it."""
        heads = [(page.channel, page.head, page.asked_at) for page in self._record.pages]
        highest: dict[tuple[str, str], tuple[list[float], list[int]]] = {}
        for key, acknowledged in self._acknowledged_at.items():
            by_time = sorted((at, offset) for offset, at in acknowledged.items())
            highest[key] = ([at for at, _ in by_time], list(accumulate((offset for _, offset in by_time), max)))
        for channel, head, asked_at in heads:
            times, offsets = highest.get((channel, head.epoch), ([], []))
            before = bisect_left(times, asked_at)
            if before and offsets[before - 1] > head.offset:
                what = f"{Place(head.epoch, offsets[before - 1])} was acknowledged, and then the head is {head}"
                yield Violation(Kind.LOST, asked_at, channel, what)


def runs(stay: Stay) -> Iterator[tuple[str, int, int]]:
    """A stay's messages by epoch: (epoch, index of the first, index behind the last)."""
    begin = stay.asked if stay.recovered else stay.start
    epoch, first = "" if begin is None else begin.epoch, 0
    for resync in stay.resyncs:
        if resync.place is not None and resync.place.epoch != epoch:
            yield epoch, first, resync.before
            epoch, first = resync.place.epoch, resync.before
    yield epoch, first, len(stay.messages)


def places(record: Record) -> Iterator[tuple[str, Place, float]]:
    """All that anybody was told: of which channel, what, and when."""
    for stay in record.stays:
        if stay.start is not None:
            yield stay.channel, stay.start, stay.at
        for resync in stay.resyncs:
            if resync.place is not None:
                yield stay.channel, resync.place, resync.at
    for page in record.pages:
        yield page.channel, page.head, page.asked_at
    for each in record.acknowledged:
        yield each.post.channel, each.place, each.at


def _bases(record: Record) -> dict[tuple[str, str], int]:
    """The first place of each epoch that anybody was told. What lies before may be gone with what was lost."""
    bases: dict[tuple[str, str], int] = {}
    for channel, place, _ in places(record):
        bases[channel, place.epoch] = min(place.offset, bases.get((channel, place.epoch), place.offset))
    return bases


def _form(page: Page, kept_after: int) -> Iterator[Violation]:
    """Rising by one, of the size and from the end that was asked for. Behind `kept_after` nothing may be gone."""
    offsets, window = page.entries.offsets, page.window
    last = page.head.offset if window.before is None else min(page.head.offset, window.before - 1)
    wrong: str | None = None
    if any(later != earlier + 1 for earlier, later in pairwise(offsets)):
        wrong = "it does not rise by one"
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
    elif offsets[-1] != last and len(offsets) < window.limit:
        wrong = f"it ends before {last}"
    if wrong is not None:
        span = f"{offsets[0]}..{offsets[-1]}" if len(offsets) else "nothing"
        what = f"{span} on {page.node}, head {page.head}, asked for {window.as_fields()}: {wrong}"
        yield Violation(Kind.BAD_PAGE, page.asked_at, page.channel, what)
