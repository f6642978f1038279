"""What a run did, in numbers; and when that is too little to prove anything."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from tests.chaos.harness.fault_spans import FaultSpan, fault_spans_of
from tests.chaos.harness.history import Fault, FaultKind
from tests.chaos.messages.contents import Contents, runs
from tests.chaos.messages.record import ReadGap, Record, Subscription
from tests.chaos.messages.verify import concerns
from tests.chaos.messages.verify_reads import count_told_missing

AFTER = 3.0
"""Seconds after a fault that are still attributed to it."""
SKIPPED_MAX = 0.2


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from the acknowledgement of a message to its arrival at each live listener."""

    count: int
    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Delays":
        if not seconds:
            return cls(0, 0.0, 0.0, 0.0)
        seconds.sort()
        picked = (seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100], seconds[-1])
        return cls(len(seconds), *(round(each, 4) for each in picked))

    def as_repairs(self) -> str:
        return f"p99 {self.p99 * 1000:.0f} ms, max {self.longest * 1000:.0f} ms"

    def __str__(self) -> str:
        return f"p50 {self.p50 * 1000:7.1f} ms, p99 {self.p99 * 1000:7.0f} ms, max {self.longest * 1000:6.0f} ms"


@dataclass(frozen=True, slots=True)
class Totals:
    """`skipped`: offsets within one epoch that a `resync` or a refused recovery skipped: announced, but not checked."""

    deliveries: int
    acknowledged: int
    repeated: int
    unconfirmed: int
    subscriptions: int
    recovered: int
    caught_up: int
    refused: int
    skipped: int
    resyncs: dict[str, int]
    epochs: int
    pages: int
    entries: int
    reads: int
    """Messages that clients of the product have read; `gaps`: what they were told of; `told_missing`: how many offsets
    of one epoch that were."""
    gaps: int
    told_missing: int
    faults: dict[str, int]
    delays: Delays
    delays_by_fault: dict[str, Delays]
    """Delays of messages acknowledged during a fault of this kind, or in the AFTER seconds after it."""
    repairs_by_fault: dict[str, Delays]
    """Of the same messages, counted from the end of the last fault of the listener; 0 if they arrived before it."""

    def as_lines(self, seconds: float) -> list[str]:
        resyncs = ", ".join(f"{count}: {why}" for why, count in sorted(self.resyncs.items()))
        by_kind = ((kind, delays, self.repairs_by_fault[kind]) for kind, delays in self.delays_by_fault.items())
        return [
            f"deliveries   {self.deliveries} checked ({self.deliveries / seconds:.0f}/s)",
            f"listeners    {self.subscriptions} subscriptions, in {self.epochs} epochs of all channels",
            f"messages     {self.acknowledged} acknowledged, {self.repeated} repeated; {self.unconfirmed} unconfirmed",
            f"recoveries   {self.recovered} with {self.caught_up} messages, {self.refused} refused",
            f"resyncs      {resyncs or 'none'}",
            f"skipped      {self.skipped} messages, announced as missing by a resync or a refused recovery",
            f"history      {self.pages} pages with {self.entries} entries",
            f"tannoy.client {self.reads} messages read, {self.gaps} gaps told, with {self.told_missing} messages",
            f"delays       {self.delays}",
            *(f"  {kind:<15}{delays}; since its end: {repairs.as_repairs()}" for kind, delays, repairs in by_kind),
        ]


def totals_of(record: Record) -> Totals:
    delays, by_fault, repairs = _delays(record)
    recovered = [
        subscription
        for subscription in record.subscriptions
        if subscription.recovered and subscription.start and subscription.asked
    ]
    gaps = sum(isinstance(item, ReadGap) for reads in record.reads for item in reads.items)
    return Totals(
        deliveries=record.deliveries,
        acknowledged=len(record.acknowledged),
        repeated=sum(1 for each in record.acknowledged if each.tries > 1),
        unconfirmed=len(record.unconfirmed),
        subscriptions=len(record.subscriptions),
        recovered=len(recovered),
        caught_up=sum(
            subscription.start.offset - subscription.asked.offset
            for subscription in recovered
            if subscription.start and subscription.asked
        ),
        refused=sum(1 for subscription in record.subscriptions if subscription.recovered is False),
        skipped=sum(map(_skipped, record.subscriptions)),
        resyncs=dict(
            Counter(resync.reason for subscription in record.subscriptions for resync in subscription.resyncs)
        ),
        epochs=len(
            {
                (subscription.channel, epoch)
                for subscription in record.subscriptions
                for epoch, _, _ in runs(subscription)
            }
        ),
        pages=len(record.pages),
        entries=sum(len(page.entries) for page in record.pages),
        reads=sum(len(reads.items) for reads in record.reads) - gaps,
        gaps=gaps,
        told_missing=sum(map(count_told_missing, record.reads)),
        faults=dict(Counter(fault.kind.value for fault in record.history.of(Fault))),
        delays=delays,
        delays_by_fault=by_fault,
        repairs_by_fault=repairs,
    )


def _skipped(subscription: Subscription) -> int:
    skipped = 0
    if (
        subscription.recovered is False
        and subscription.start
        and subscription.asked
        and subscription.start.epoch == subscription.asked.epoch
    ):
        skipped += subscription.start.offset - subscription.asked.offset
    position = subscription.asked if subscription.recovered else subscription.start
    for resync in subscription.resyncs:
        if position is not None and resync.position is not None and resync.position.epoch == position.epoch:
            last = subscription.messages.offsets[resync.before - 1] if resync.before else position.offset
            skipped += max(0, resync.position.offset - max(last, position.offset))
        position = resync.position or position
    return skipped


def _delays(record: Record) -> tuple[Delays, dict[str, Delays], dict[str, Delays]]:
    """Delays in all, by kind of fault, and since the end of the fault. Recovered messages are not counted."""
    contents, faults = Contents(record), sorted(fault_spans_of(record.history))
    every: list[float] = []
    by_kind: dict[str, list[float]] = defaultdict(list)
    repairs: dict[str, list[float]] = defaultdict(list)
    concerning: dict[tuple[str, str], _Times] = {}
    for subscription in record.subscriptions:
        if (subscription.node, subscription.client) not in concerning:
            its = [span for span in faults if concerns(span, subscription) or span.kind is FaultKind.KILL_NODE]
            concerning[subscription.node, subscription.client] = _Times(its)
        times = concerning[subscription.node, subscription.client]
        for at, acknowledged_at, _ in contents.delays(subscription):
            if acknowledged_at < subscription.at:
                continue
            seconds = max(0.0, at - acknowledged_at)
            every.append(seconds)
            for kind in times.kinds(acknowledged_at):
                by_kind[kind].append(seconds)
                repairs[kind].append(max(0.0, at - max(acknowledged_at, times.healed(at))))
    return Delays.of(every), _sorted(by_kind), _sorted(repairs)


def _sorted(seconds: dict[str, list[float]]) -> dict[str, Delays]:
    return {kind: Delays.of(its) for kind, its in sorted(seconds.items())}


class _Times:
    """The faults of one listener by time, in grains of 50 ms."""

    GRAIN = 0.05

    def __init__(self, faults: list[FaultSpan]) -> None:
        self._kinds: dict[int, set[str]] = defaultdict(set)
        self._began = [span.began for span in faults]
        self._healed = list(accumulate((span.until for span in faults), max))
        for span in faults:
            until = min(span.until, span.began + 60.0) + AFTER
            for grain in range(int(span.began / self.GRAIN), int(until / self.GRAIN) + 1):
                self._kinds[grain].add(span.kind.value)

    def kinds(self, moment: float) -> Iterable[str]:
        """Kinds of faults in effect now, or in the last AFTER seconds."""
        return self._kinds.get(int(moment / self.GRAIN), ())

    def healed(self, moment: float) -> float:
        """When all faults that began before `moment` had ended; later than `moment` if one has not."""
        begun = bisect_right(self._began, moment)
        return self._healed[begun - 1] if begun else 0.0


@dataclass(frozen=True, slots=True)
class Minimum:
    """A run with less of any of these proves nothing. `kinds`: of faults."""

    deliveries: int
    faults: int
    kinds: int
    acknowledged: int
    recovered: int
    repeated: int
    entries: int

    @classmethod
    def of_run(cls, deliveries: int, faults: int) -> "Minimum":
        return cls(
            deliveries=deliveries,
            faults=faults,
            kinds=min(faults, len(FaultKind)),
            acknowledged=deliveries // 50,
            recovered=deliveries // 5000,
            repeated=deliveries // 5000,
            entries=deliveries // 50,
        )


def too_little(totals: Totals, minimum: Minimum) -> list[str]:
    """The reasons to reject the run; empty if there are none."""
    wanted = {
        "deliveries": (totals.deliveries, minimum.deliveries),
        "faults": (sum(totals.faults.values()), minimum.faults),
        "kinds of faults": (len(totals.faults), minimum.kinds),
        "messages acknowledged": (totals.acknowledged, minimum.acknowledged),
        "subscriptions that recovered": (totals.recovered, minimum.recovered),
        "messages that had to be repeated": (totals.repeated, minimum.repeated),
        "entries of history read": (totals.entries, minimum.entries),
    }
    found = [f"{what}: {was}, at least {least} are wanted" for what, (was, least) in wanted.items() if was < least]
    if totals.skipped > SKIPPED_MAX * totals.deliveries:
        found.append(f"{totals.skipped} messages were announced as missing instead of delivered: that is too many")
    if totals.told_missing > SKIPPED_MAX * max(totals.reads, 1):
        found.append(f"clients of the product were told of {totals.told_missing} missing messages: that is too many")
    return found
