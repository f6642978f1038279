"""Presence: what the nodes say of the rooms, and what each of their members could put together from its events.

`presence`: when all is quiet again, every node lists exactly the users whose sockets are open, each with the number of
its sessions. `stale_view`: so does every member, from its snapshot and its events alone, asking anew wherever a version
is left out. `complaint`: no event twice or out of order, none that a snapshot already held, no count that differs from
the users told (`view.py` collects them). `flap`: in calm times, with no fault in the last CALM seconds, a leave is
shown only for a user who was away for PRESENCE_GRACE on end. Being away is counted generously: from the client's own
goodbye to the welcome of the next connection; the node has seen less of it.
"""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.harness.history import Complaint, History, Left, RollCall, Viewed
from tests.chaos.harness.troubles import Troubles
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.limits.lives import Life

CALM = 20.0
GRACE = 2.0
"""PRESENCE_GRACE of the nodes under test."""
STAMP_SLACK = 0.05
READ_LATE = 1.0


def rooms(history: History, lives: list[Life], troubles: Troubles) -> Iterator[Violation]:
    for call in history.of(RollCall):
        if dict(call.listed) != dict(call.connected):
            told = f"{call.node} lists {dict(call.listed)}, connected are {dict(call.connected)}"
            yield Violation(Kind.PRESENCE, call.at, call.room, told)
    for view in history.of(Viewed):
        if set(view.seen) != set(view.connected):
            told = f"session {view.session} sees {sorted(view.seen)}, connected are {sorted(view.connected)}"
            yield Violation(Kind.STALE_VIEW, view.at, view.room, told)
    for complaint in history.of(Complaint):
        yield Violation(Kind.COMPLAINT, complaint.at, complaint.room, f"session {complaint.session}: {complaint.what}")
    yield from flaps(history, lives, troubles)


def flaps(history: History, lives: list[Life], troubles: Troubles) -> Iterator[Violation]:
    spans: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for life in lives:
        if life.room is not None and life.was_welcomed:
            spans[life.room, life.user].append((life.welcomed_at, life.ended_at))
    absences = {key: _absences(sorted(its)) for key, its in spans.items()}
    for left in history.of(Left):
        known = absences.get((left.room, left.user))
        if known is None or not troubles.was_calm(left.at - CALM, left.at):
            continue
        # The event may have been read just after the user was back.
        recent = [(began, min(ended, left.at)) for began, ended in known if began < left.at < ended + READ_LATE]
        away = max((until - began for began, until in recent), default=0.0)
        if away < GRACE - STAMP_SLACK:
            told = f"session {left.session} is told that {left.user} left, who was away for {away:.3f} s of {GRACE:g}"
            yield Violation(Kind.FLAP, left.at, left.room, told)


def _absences(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Between spans that may overlap, and after the last one: (began, ended)."""
    absences: list[tuple[float, float]] = []
    there_until = -float("inf")
    for begin, end in spans:
        if there_until > -float("inf") and begin > there_until:
            absences.append((there_until, begin))
        there_until = max(there_until, end)
    absences.append((there_until, float("inf")))
    return absences
