"""What a run did, in numbers; and when that is too little to say anything."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from tests.chaos.harness.history import Fault, FaultKind
from tests.chaos.harness.troubles import Trouble, troubles_of
from tests.chaos.messages.contents import Contents, runs
from tests.chaos.messages.record import Record, Stay
from tests.chaos.messages.verify import concerns

AFTER = 3.0
"""Seconds after a fault that still count as its time."""
FORGIVEN_MAX = 0.2


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

    def __str__(self) -> str:
        return f"p50 {self.p50 * 1000:7.1f} ms, p99 {self.p99 * 1000:7.0f} ms, max {self.longest * 1000:6.0f} ms"


@dataclass(frozen=True, slots=True)
class Totals:
    """`forgiven`: offsets within one epoch that a resync or a refused recovery has skipped: told, but not checked."""

    deliveries: int
    acknowledged: int
    repeated: int
    given_up: int
    stays: int
    recovered: int
    caught_up: int
    refused: int
    forgiven: int
    resyncs: dict[str, int]
    epochs: int
    pages: int
    entries: int
    faults: dict[str, int]
    delays: Delays
    delays_by_fault: dict[str, Delays]
    """Of messages that were acknowledged while a fault of this kind held, or in AFTER seconds behind it."""
    repairs_by_fault: dict[str, Delays]
    """Of the same, but from when no fault concerned the listener any more; 0 where it came before that."""


def totals_of(record: Record) -> Totals:
    delays, by_fault, repairs = _delays(record)
    recovered = [stay for stay in record.stays if stay.recovered and stay.start and stay.asked]
    return Totals(
        deliveries=record.deliveries,
        acknowledged=len(record.acknowledged),
        repeated=sum(1 for each in record.acknowledged if each.tries > 1),
        given_up=len(record.given_up),
        stays=len(record.stays),
        recovered=len(recovered),
        caught_up=sum(stay.start.offset - stay.asked.offset for stay in recovered if stay.start and stay.asked),
        refused=sum(1 for stay in record.stays if stay.recovered is False),
        forgiven=sum(map(_forgiven, record.stays)),
        resyncs=dict(Counter(resync.reason for stay in record.stays for resync in stay.resyncs)),
        epochs=len({(stay.channel, epoch) for stay in record.stays for epoch, _, _ in runs(stay)}),
        pages=len(record.pages),
        entries=sum(len(page.entries) for page in record.pages),
        faults=dict(Counter(fault.kind.value for fault in record.history.of(Fault))),
        delays=delays,
        delays_by_fault=by_fault,
        repairs_by_fault=repairs,
    )


def _forgiven(stay: Stay) -> int:
    skipped = 0
    if stay.recovered is False and stay.start and stay.asked and stay.start.epoch == stay.asked.epoch:
        skipped += stay.start.offset - stay.asked.offset
    place = stay.asked if stay.recovered else stay.start
    for resync in stay.resyncs:
        if place is not None and resync.place is not None and resync.place.epoch == place.epoch:
            last = stay.messages.offsets[resync.before - 1] if resync.before else place.offset
            skipped += max(0, resync.place.offset - max(last, place.offset))
        place = resync.place or place
    return skipped


def _delays(record: Record) -> tuple[Delays, dict[str, Delays], dict[str, Delays]]:
    """What was caught up by who came later is not counted."""
    contents, troubles = Contents(record), sorted(troubles_of(record.history))
    every: list[float] = []
    by_kind: dict[str, list[float]] = defaultdict(list)
    repairs: dict[str, list[float]] = defaultdict(list)
    concerning: dict[tuple[str, str], _Times] = {}
    for stay in record.stays:
        if (stay.node, stay.client) not in concerning:
            its = [trouble for trouble in troubles if concerns(trouble, stay) or trouble.kind is FaultKind.KILL_NODE]
            concerning[stay.node, stay.client] = _Times(its)
        times = concerning[stay.node, stay.client]
        for at, acknowledged_at, _ in contents.delays(stay):
            if acknowledged_at < stay.at:
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
    """Which faults hold when, for some listener; kinds are looked up in grains of 50 ms."""

    GRAIN = 0.05

    def __init__(self, troubles: list[Trouble]) -> None:
        self._kinds: dict[int, set[str]] = defaultdict(set)
        self._began = [trouble.began for trouble in troubles]
        self._healed = list(accumulate((trouble.until for trouble in troubles), max))
        for trouble in troubles:
            until = min(trouble.until, trouble.began + 60.0) + AFTER
            for grain in range(int(trouble.began / self.GRAIN), int(until / self.GRAIN) + 1):
                self._kinds[grain].add(trouble.kind.value)

    def kinds(self, moment: float) -> Iterable[str]:
        """Of those that hold, or held in the last AFTER seconds."""
        return self._kinds.get(int(moment / self.GRAIN), ())

    def healed(self, moment: float) -> float:
        """When all that have begun were over; later than `moment` if they are not yet."""
        begun = bisect_right(self._began, moment)
        return self._healed[begun - 1] if begun else 0.0


@dataclass(frozen=True, slots=True)
class Minimum:
    """Below any of it a run shows nothing."""

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
            kinds=min(faults, 8),
            acknowledged=deliveries // 50,
            recovered=deliveries // 5000,
            repeated=deliveries // 5000,
            entries=deliveries // 50,
        )


def too_little(totals: Totals, minimum: Minimum) -> list[str]:
    """Why the run is rejected; empty: it is not."""
    wanted = {
        "deliveries": (totals.deliveries, minimum.deliveries),
        "faults": (sum(totals.faults.values()), minimum.faults),
        "kinds of faults": (len(totals.faults), minimum.kinds),
        "messages acknowledged": (totals.acknowledged, minimum.acknowledged),
        "stays that were caught up": (totals.recovered, minimum.recovered),
        "messages that had to be repeated": (totals.repeated, minimum.repeated),
        "entries of history read": (totals.entries, minimum.entries),
    }
    found = [f"{what}: {was}, at least {least} are wanted" for what, (was, least) in wanted.items() if was < least]
    if totals.forgiven > FORGIVEN_MAX * totals.deliveries:
        found.append(f"{totals.forgiven} messages were not delivered but told to be missing: that is too many")
    return found
