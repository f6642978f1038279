"""Presence: what the nodes list for the rooms, and what each member knows from its events.

`presence`: after the faults every node lists exactly the users whose sockets are open, each with the number of its
sessions. `stale_view`: so does every member, from its snapshot and its events alone; it requests a new snapshot where
it misses a version. `inconsistent`: no event comes twice or out of order, none that a snapshot already contained, and
no count differs from the users announced (`view.py` collects these). `premature_leave`: with no fault in the last CALM
seconds a leave is announced only for a user who was away for PRESENCE_GRACE without a break. The absence is measured
generously: from the client's own close to the `welcome` of its next connection; the node sees less of it.

A room that has lost one of its own keys may announce wrong users and counts until it is rebuilt: `inconsistent` does
not hold there for MENDED_WITHIN. Everything else does.
"""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.harness.fault_spans import FaultTimeline
from tests.chaos.harness.history import FinalView, History, Inconsistency, Left, PresenceList
from tests.chaos.harness.lost_keys import has_lost
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.limits.sessions import SessionRecord

CALM = 20.0
GRACE = 2.0
"""PRESENCE_GRACE of the nodes under test, in seconds."""
STAMP_SLACK = 0.05
READ_LATE = 1.0


def rooms(history: History, sessions: list[SessionRecord], timeline: FaultTimeline) -> Iterator[Violation]:
    for call in history.of(PresenceList):
        if dict(call.listed) != dict(call.connected):
            evidence = f"{call.node} lists {dict(call.listed)}, connected are {dict(call.connected)}"
            yield Violation(Kind.PRESENCE, call.at, call.room, evidence)
    for view in history.of(FinalView):
        if set(view.seen) != set(view.connected):
            evidence = f"session {view.session} sees {sorted(view.seen)}, connected are {sorted(view.connected)}"
            yield Violation(Kind.STALE_VIEW, view.at, view.room, evidence)
    for inconsistency in history.of(Inconsistency):
        if _was_losing_keys(timeline, inconsistency.room, inconsistency.at):
            continue
        yield Violation(
            Kind.INCONSISTENT,
            inconsistency.at,
            inconsistency.room,
            f"session {inconsistency.session}: {inconsistency.what}",
        )
    yield from flaps(history, sessions, timeline)


def _was_losing_keys(timeline: FaultTimeline, room: str, at: float) -> bool:
    """Whether the room had lost one of its own keys, and need not be rebuilt yet."""
    return any(
        span.began <= at <= span.until and has_lost(span, f"room:{room}", "users", "leaving", "presence", "in")
        for span in timeline.spans
    )


def flaps(history: History, sessions: list[SessionRecord], timeline: FaultTimeline) -> Iterator[Violation]:
    spans: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for session in sessions:
        if session.room is not None and session.was_welcomed:
            spans[session.room, session.user].append((session.welcomed_at, session.ended_at))
    absences = {key: _absences(sorted(its)) for key, its in spans.items()}
    for left in history.of(Left):
        known = absences.get((left.room, left.user))
        if known is None or not timeline.was_calm(left.at - CALM, left.at):
            continue
        # The event may be read just after the user has returned.
        recent = [(began, min(ended, left.at)) for began, ended in known if began < left.at < ended + READ_LATE]
        away = max((until - began for began, until in recent), default=0.0)
        if away < GRACE - STAMP_SLACK:
            evidence = (
                f"session {left.session} receives the leave of {left.user}, who was away for {away:.3f} s of {GRACE:g}"
            )
            yield Violation(Kind.PREMATURE_LEAVE, left.at, left.room, evidence)


def _absences(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The gaps between spans, which may overlap, and the time after the last one: (began, ended)."""
    absences: list[tuple[float, float]] = []
    there_until = -float("inf")
    for begin, end in spans:
        if there_until > -float("inf") and begin > there_until:
            absences.append((there_until, begin))
        there_until = max(there_until, end)
    absences.append((there_until, float("inf")))
    return absences
