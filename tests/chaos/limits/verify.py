"""The oracle for limits and presence: history in, violations out. Pure functions, no I/O.

**Limit on the wire** (`limit`, `late_bye`, `duplicate_name`). A session counts from the arrival of its `welcome` at the
client's kernel until the arrival of its `bye`, close frame or end of stream, or until the client itself begins to end
it. At no arrival of a `welcome` may an agent have more sessions than its limit, or two under one name. Arrivals are
time stamps of the kernel (SO_TIMESTAMPNS), so nothing depends on the order in which a busy client reads its sockets.
  This is fair because loopback delivers within `send`: the `bye` of a node that writes it before it releases the lease
arrives before the `welcome` of any successor is written. An event that is read together with later bytes gets the later
stamp: for a `welcome` that can only hide an overlap of microseconds, and a `bye` is read together with its own close
frame alone. At equal stamps ends come first.
  There is one exception: a *frozen* node (SIGSTOP) cannot send `bye`. A session on it does not count while the node is
frozen, provided that its heartbeat can have run out (LEASE_LEFT seconds into the freeze; at once if other faults may
have prevented the last heartbeats) and that the session ends within WAKE_UP of the end of the freeze. A node that is
cut off from Redis, or that was killed, is no exception: the first can close its sockets in time, and the kernel closes
those of the second.

**Limit proven** (`limit_proven`, `duplicate_name_proven`). There is no exception, and only the run's own clock is used.
Each message is numbered and was sent to a node not before `Published.at`. A session that was welcomed at w and receives
a message sent at p was admitted before w and still served after p: it held its place during all of [w, p]. Where more
of these intervals than the limit have a common instant, the limit was exceeded, whatever was frozen or cut off.
Messages are sent every 60 ms.

**Fencing** (`unfenced`). A node that was frozen for more than TRUST seconds cannot have sent a heartbeat meanwhile. No
limited session from before the freeze may receive a message that was sent after the freeze began.

**Protocol** (`unexpected`, `wrong_code`, `bad_refusal`). No message comes before `welcome`, no frame after `bye`; no
session is closed for a reason that does not apply; a refusal (1013) has a `retry_after`.

**After the faults** (`session_list`, `leaked`, `not_admitted`, `overfull`). Every node lists exactly the sessions that
are connected, and none once all have closed; then as many as the limit are admitted, each within ADMIT_WITHIN.
**Presence** (`presence`, `stale_view`, `premature_leave`, `inconsistent`): see `verify_rooms.py`.
**Nodes** (`node_died`) exit only when they are killed.

A run in which too little happened proves nothing: it is rejected (`totals.too_little`), which is not a pass.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from tests.chaos.harness.fault_spans import NEVER, FaultTimeline, fault_spans_of
from tests.chaos.harness.history import (
    End,
    FaultKind,
    History,
    LimitSet,
    NodeDied,
    PlaceProbe,
    SessionList,
    UnexpectedFrame,
)
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.limits.sessions import SessionRecord, sessions_of
from tests.chaos.limits.verify_rooms import rooms

TRUST = 5.0
"""Seconds after its last heartbeat for which a node may serve limited sessions."""
LEASE_LEFT = 3.0
"""Seconds for which the lease of a node is valid at least when it is frozen: its 6 s, less the 2 s between heartbeats
and a margin."""
TROUBLE_LASTS = 8.0
"""Seconds after a fault of Redis or of a link in which a heartbeat may be missing."""
WAKE_UP = 2.0
ADMIT_WITHIN = 10.0
EVICTED, REPLACED, TRY_AGAIN, LEASE_LOST = 4500, 4506, 1013, 4004
EXPECTED_CODES = {EVICTED, REPLACED, TRY_AGAIN, LEASE_LOST, 4001}


def verify(history: History) -> list[Violation]:
    """All violations of a run, by time."""
    sessions = sessions_of(history)
    timeline = FaultTimeline.of(fault_spans_of(history))
    limits = {event.agent: event for event in history.of(LimitSet)}
    found: list[Violation] = []
    for agent, its_lives in _by_agent(sessions).items():
        found += limit_on_the_wire(its_lives, limits[agent], timeline)
        found += limit_proven(its_lives, limits[agent])
        found += fencing(its_lives, timeline)
    found += protocol(history, sessions, limits, timeline)
    found += after_the_faults(history)
    found += rooms(history, sessions, timeline)
    found += [Violation(Kind.NODE_DIED, e.at, e.node, e.last_words) for e in history.of(NodeDied)]
    return sorted(found, key=lambda violation: violation.at)


def _by_agent(sessions: Iterable[SessionRecord]) -> dict[str, list[SessionRecord]]:
    agents: dict[str, list[SessionRecord]] = defaultdict(list)
    for session in sessions:
        if session.agent is not None and session.was_welcomed:
            agents[session.agent].append(session)
    return agents


def _at_each_welcome(
    spans: Iterable[tuple[float, float, SessionRecord]],
) -> Iterator[tuple[float, SessionRecord, list[SessionRecord]]]:
    """For each begin of a span: its time, its session, and all sessions open then. Ends sort before begins."""
    changes = [(end, 0, session) for begin, end, session in spans if end > begin]
    changes += [(begin, 1, session) for begin, end, session in spans if end > begin]
    is_open: dict[int, SessionRecord] = {}
    for at, begins, session in sorted(changes, key=lambda change: (change[0], change[1], change[2].number)):
        if begins:
            is_open[session.number] = session
            yield at, session, list(is_open.values())
        else:
            del is_open[session.number]


def _same_name(session: SessionRecord, others: Iterable[SessionRecord]) -> list[SessionRecord]:
    return [other for other in others if other is not session and other.session_id == session.session_id]


def _describe(sessions: Iterable[SessionRecord]) -> str:
    return "; ".join(map(str, sessions))


def limit_on_the_wire(sessions: list[SessionRecord], limit: LimitSet, timeline: FaultTimeline) -> Iterator[Violation]:
    for at, newcomer, open_now in _at_each_welcome(
        [(session.welcomed_at, session.ended_at, session) for session in sessions]
    ):
        counted = [session for session in open_now if session is newcomer or not excused(session, at, timeline)]
        if namesakes := _same_name(newcomer, counted):
            yield Violation(Kind.DUPLICATE_NAME, at, limit.agent, _describe([newcomer, *namesakes]))
        elif len(counted) > limit.max_sessions:
            late = any(session.end is End.BYE and session.code in (EVICTED, REPLACED) for session in counted)
            kind = Kind.LATE_BYE if late else Kind.LIMIT
            yield Violation(
                kind, at, limit.agent, f"limit {limit.max_sessions}, {len(counted)} live: {_describe(counted)}"
            )


def excused(session: SessionRecord, at: float, timeline: FaultTimeline) -> bool:
    """Whether its node was frozen at `at` and could not send `bye`."""
    for freeze in timeline.freezes.get(session.node, ()):
        lease_left = LEASE_LEFT if timeline.has_only_freezes(freeze.began - TROUBLE_LASTS, at) else 0.0
        if session.welcomed_at < freeze.began <= at - lease_left and at <= session.ended_at <= freeze.until + WAKE_UP:
            return True
    return False


def limit_proven(sessions: list[SessionRecord], limit: LimitSet) -> Iterator[Violation]:
    for at, newcomer, open_now in _at_each_welcome(
        [(session.welcomed_at, session.proven_at, session) for session in sessions]
    ):
        if namesakes := _same_name(newcomer, open_now):
            yield Violation(Kind.DUPLICATE_NAME_PROVEN, at, limit.agent, _describe([newcomer, *namesakes]))
        elif len(open_now) > limit.max_sessions:
            evidence = f"limit {limit.max_sessions}, {len(open_now)} were served: {_describe(open_now)}"
            yield Violation(Kind.LIMIT_PROVEN, at, limit.agent, evidence)


def fencing(sessions: list[SessionRecord], timeline: FaultTimeline) -> Iterator[Violation]:
    for session in sessions:
        for freeze in timeline.freezes.get(session.node, ()):
            is_long = freeze.until - freeze.began > TRUST
            if is_long and session.welcomed_at < freeze.began < session.proven_at:
                evidence = f"frozen from {freeze.began:.4f} to {freeze.until:.4f}, and then {session}"
                yield Violation(Kind.UNFENCED, freeze.until, session.agent or "", evidence)


def protocol(
    history: History, sessions: list[SessionRecord], limits: dict[str, LimitSet], timeline: FaultTimeline
) -> Iterator[Violation]:
    by_session = {session.number: session for session in sessions}
    for frame in history.of(UnexpectedFrame):
        session = by_session[frame.session]
        yield Violation(Kind.UNEXPECTED, frame.at, session.agent or session.room or "", f"{frame.what}: {session}")
    # An empty Redis has lost the agents' own limits and policies.
    empty = (FaultKind.EMPTY_REDIS, FaultKind.SWITCH_TO_EMPTY)
    emptied_at = min((t.began for t in timeline.spans if t.kind in empty), default=NEVER)
    for session in sessions:
        if session.end not in (End.BYE, End.CLOSED):
            continue
        about = session.agent or session.room or ""
        policy = limits[session.agent].policy if session.agent is not None else None
        keeps_all = policy != "evict_oldest" and session.ended_at < emptied_at
        if session.end is End.CLOSED or session.code not in EXPECTED_CODES or (session.code == EVICTED and keeps_all):
            yield Violation(Kind.WRONG_CODE, session.ended_at, about, str(session))
        if session.code == TRY_AGAIN and not session.retry_after:
            yield Violation(Kind.BAD_REFUSAL, session.ended_at, about, str(session))


def after_the_faults(history: History) -> Iterator[Violation]:
    for each in history.of(SessionList):
        missing = sorted(set(each.connected) - set(each.listed))
        leaked = sorted(set(each.listed) - set(each.connected))
        if missing or leaked or len(each.listed) != len(each.connected):
            kind = Kind.LEAKED if leaked and not each.connected else Kind.SESSION_LIST
            evidence = f"{each.moment}: {each.node} lists {leaked}, not connected, and lacks {missing}, connected"
            yield Violation(kind, each.at, each.agent, evidence)
    limits = {event.agent: event for event in history.of(LimitSet)}
    for probe in history.of(PlaceProbe):
        limit = limits[probe.agent]
        if probe.place <= limit.max_sessions:
            if not probe.admitted or probe.seconds > ADMIT_WITHIN:
                evidence = (
                    f"place {probe.place} of {limit.max_sessions}, {probe.seconds:.1f} s, refused with {probe.code}"
                )
                yield Violation(Kind.NOT_ADMITTED, probe.at, probe.agent, evidence)
        elif probe.admitted is not (limit.policy == "evict_oldest"):
            evidence = f"one more than {limit.max_sessions} under {limit.policy}: admitted is {probe.admitted}"
            yield Violation(Kind.OVERFULL, probe.at, probe.agent, evidence)
