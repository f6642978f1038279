"""What became of a message at each socket of this node, for those who asked for a report.

A batch gets a `BatchReport` only where one of its messages carries a token, so the others are delivered as ever. Each
outcome is kept for a while: the question for it comes over another channel of the bus, and may be first or second.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...shared.clock import Clock
from ...shared.publication import Publication
from ...shared.reports import CLOSED_LISTED_MAX, SocketOutcome, split_mark
from ..protocols.framing import Chunk
from .hub import Hub
from .outbox import Outbox
from .watermark import Watermark

REPORTS_MAX = 2048
"""Outcomes that nobody has asked for yet, with the questions whose message has not been delivered yet."""
KEPT_SECONDS = 5.0
"""For which each is kept: longer than a question is on its way, and than anybody waits for its answer."""

Respond = Callable[[SocketOutcome], None]


def write_and_judge(outbox: Outbox, write: Callable[[Chunk], None], chunk: Chunk) -> str:
    """Write by `write`, one of the outbox; return the field of SocketOutcome that counts it. Empty: it was closed."""
    if outbox.is_discarded:
        return ""
    was_slow = outbox.is_slow
    write(chunk)
    if outbox.is_discarded:
        return "closed"
    return "slow" if was_slow else "written"


class OutcomeCount:
    """Counts the sockets of one message."""

    __slots__ = ("_closed_sessions", "_counts")

    def __init__(self) -> None:
        self._counts = {"written": 0, "slow": 0, "closed": 0}
        self._closed_sessions: list[str] = []

    def add(self, session_id: str, verdict: str) -> None:
        """`verdict` is what `write_and_judge` has returned."""
        if not verdict:
            return
        self._counts[verdict] += 1
        if verdict == "closed" and len(self._closed_sessions) < CLOSED_LISTED_MAX:
            self._closed_sessions.append(session_id)

    def outcome(self) -> SocketOutcome:
        return SocketOutcome(**self._counts, closed_sessions=tuple(self._closed_sessions))


class BatchReport:
    """The messages of one batch that are to be reported on, each with its count."""

    __slots__ = ("_counts",)

    def __init__(self, publications: Iterable[Publication]) -> None:
        marked = ((each, *split_mark(each.exclude)) for each in publications if each.exclude)
        self._counts = [(each, exclude, token, OutcomeCount()) for each, exclude, token in marked if token]

    def write(self, outbox: Outbox, chunk: Chunk, seen: Watermark) -> None:
        """Write the batch to one socket. What it was excluded from, or has `seen` before, does not count."""
        session_id, verdict = outbox.session_id, write_and_judge(outbox, outbox.write, chunk)
        for publication, exclude, _, count in self._counts:
            if exclude != session_id and seen.not_seen_of((publication,)):
                count.add(session_id, verdict)

    def outcomes(self) -> Iterable[tuple[str, SocketOutcome]]:
        """(token, outcome) of each message."""
        return [(token, count.outcome()) for _, _, token, count in self._counts]


@dataclass(slots=True)
class _Kept:
    """An outcome, or the question for one, and when it is forgotten (monotonic seconds)."""

    until: float
    outcome: SocketOutcome | None = None
    respond: Respond | None = None


class SocketReports:
    """Brings each outcome to whoever asks for it, before or after. A node that does not answer counts as late."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # by token, oldest first
        self._lost_until = 0.0

    def record(self, token: str, outcome: SocketOutcome) -> None:
        """A message has been written to all sockets of its channel."""
        asked = self._kept.pop(token, None)
        if asked is not None and asked.respond is not None:
            asked.respond(outcome)
        else:
            self._keep(token, outcome=outcome)

    def ask(self, token: str, address: bytes, respond: Respond) -> None:
        """Call `respond` with the outcome of a message on this channel as soon as it is known, at most once."""
        recorded = self._kept.pop(token, None)
        if recorded is not None and recorded.outcome is not None:
            respond(recorded.outcome)
        elif address not in self._hub.rosters and self._clock.monotonic() >= self._lost_until:
            respond(SocketOutcome())  # it was not delivered, and there is nobody to whom it could be
        else:
            self._keep(token, respond=respond)

    def _keep(self, token: str, *, outcome: SocketOutcome | None = None, respond: Respond | None = None) -> None:
        now, kept = self._clock.monotonic(), self._kept
        while kept and next(iter(kept.values())).until <= now:
            kept.popitem(last=False)
        if len(kept) >= REPORTS_MAX:
            kept.popitem(last=False)
            self._lost_until = now + KEPT_SECONDS  # until then nobody knows whether there was an outcome
        kept[token] = _Kept(now + KEPT_SECONDS, outcome, respond)

    def __len__(self) -> int:
        return len(self._kept)
