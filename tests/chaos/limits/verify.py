"""THE ORACLE: history in, violations out. Pure functions; whoever reads this page knows what a green run has shown.

**Limit, on the wire** (`limit`, `late_farewell`, `twice`). A session counts from the arrival of its `welcome` at the
client's kernel until that of its `bye`, close frame or end of stream, or until the client itself began to end it. At no
arrival of a `welcome` may an agent have more sessions than its limit, or two under one name. Arrivals are the kernel's
own time stamps (SO_TIMESTAMPNS), so nothing depends on the order in which a busy client happens to read its sockets. It
is fair because loopback delivers within `send`: a node that writes `bye` before it gives the place back has it arrive
before any successor's `welcome` is written. Read together with later bytes, an event gets the later stamp: that can
only hide an overlap of microseconds for a `welcome`, and a `bye` is read together with its own close frame alone. At
equal stamps ends come first.
  The one excuse: a *frozen* node (SIGSTOP) can't say goodbye. A session on it does not count while it is frozen, if its
heartbeat can have run out (LEASE_LEFT seconds into the freeze; at once if other faults may have kept the last
heartbeats away), and provided that it ends within WAKE_UP of the thaw. A node that is cut off from Redis, or that was
killed, has no excuse: the one can close its sockets in time, and the kernel closes those of the other.

**Limit, proven** (`limit_proven`, `twice_proven`). No excuse and no clock but our own: a message is numbered, and known
to have been handed in not before `Published.at`. A session that was welcomed at w and hears a message handed in at p
was let in before w and still served after p: it held its place all through [w, p]. Where more than the limit of such
intervals have a common instant, the limit was exceeded, whatever was frozen or cut off. Messages come every 60 ms.

**Fencing** (`unfenced`). A node that was frozen for more than TRUST seconds can't have sent a heartbeat meanwhile. No
limited session of from before the freeze may hear a message that was handed in after the freeze began.

**Manners** (`spoke`, `wrong_code`, `bad_refusal`). Nothing before `welcome` and nothing after `bye`; nobody is closed
for a reason that was not there; a refusal (1013) says when to come back.

**When all is quiet again** (`roster`, `leaked`, `not_admitted`, `overfull`). Every node lists exactly the sessions that
are connected; nobody once all have left; then as many as the limit are let in, each within ADMIT_WITHIN.
**Presence** (`presence`, `stale_view`, `flap`, `complaint`): see `verify_rooms.py`.
**Nodes** (`node_died`) end only when they are killed.

A run in which too little happened shows nothing: it is REJECTED (`too_little`), which is not a pass.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from tests.chaos.harness.history import End, FaultKind, History, LimitSet, NodeDied, Probed, Roster, Spoke
from tests.chaos.harness.troubles import NEVER, Troubles, troubles_of
from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.limits.lives import Life, lives_of
from tests.chaos.limits.verify_rooms import rooms

TRUST = 5.0
"""Seconds after the last heartbeat for which a node may serve limited sessions."""
LEASE_LEFT = 3.0
"""A node that is frozen has sent a heartbeat in the last 2 s (and a bit), so its lease of 6 s runs on for this long."""
TROUBLE_LASTS = 8.0
"""Seconds after a fault of Redis or of a link in which a heartbeat may have been missed."""
WAKE_UP = 2.0
ADMIT_WITHIN = 10.0
EVICTED, REPLACED, TRY_AGAIN, LEASE_LOST = 4500, 4506, 1013, 4004
EXPECTED_CODES = {EVICTED, REPLACED, TRY_AGAIN, LEASE_LOST, 4001}


def verify(history: History) -> list[Violation]:
    """Everything that is wrong with a run, by time."""
    lives = lives_of(history)
    troubles = Troubles.of(troubles_of(history))
    limits = {event.agent: event for event in history.of(LimitSet)}
    found: list[Violation] = []
    for agent, its_lives in _by_agent(lives).items():
        found += on_the_wire(its_lives, limits[agent], troubles)
        found += proven(its_lives, limits[agent])
        found += fencing(its_lives, troubles)
    found += manners(history, lives, limits, troubles)
    found += quiet(history)
    found += rooms(history, lives, troubles)
    found += [Violation(Kind.NODE_DIED, e.at, e.node, e.last_words) for e in history.of(NodeDied)]
    return sorted(found, key=lambda violation: violation.at)


def _by_agent(lives: Iterable[Life]) -> dict[str, list[Life]]:
    agents: dict[str, list[Life]] = defaultdict(list)
    for life in lives:
        if life.agent is not None and life.was_welcomed:
            agents[life.agent].append(life)
    return agents


def _at_each_welcome(spans: Iterable[tuple[float, float, Life]]) -> Iterator[tuple[float, Life, list[Life]]]:
    """For each beginning of a span: when, whose, and all spans open then. Ends before beginnings; empty ones not."""
    changes = [(end, 0, life) for begin, end, life in spans if end > begin]
    changes += [(begin, 1, life) for begin, end, life in spans if end > begin]
    is_open: dict[int, Life] = {}
    for at, begins, life in sorted(changes, key=lambda change: (change[0], change[1], change[2].session)):
        if begins:
            is_open[life.session] = life
            yield at, life, list(is_open.values())
        else:
            del is_open[life.session]


def _same_name(life: Life, others: Iterable[Life]) -> list[Life]:
    return [other for other in others if other is not life and other.session_id == life.session_id]


def _told(lives: Iterable[Life]) -> str:
    return "; ".join(map(str, lives))


def on_the_wire(lives: list[Life], limit: LimitSet, troubles: Troubles) -> Iterator[Violation]:
    for at, newcomer, open_now in _at_each_welcome([(life.welcomed_at, life.ended_at, life) for life in lives]):
        counted = [life for life in open_now if life is newcomer or not excused(life, at, troubles)]
        if namesakes := _same_name(newcomer, counted):
            yield Violation(Kind.TWICE, at, limit.agent, _told([newcomer, *namesakes]))
        elif len(counted) > limit.max_sessions:
            late = any(life.end is End.BYE and life.code in (EVICTED, REPLACED) for life in counted)
            kind = Kind.LATE_FAREWELL if late else Kind.LIMIT
            yield Violation(kind, at, limit.agent, f"limit {limit.max_sessions}, {len(counted)} live: {_told(counted)}")


def excused(life: Life, at: float, troubles: Troubles) -> bool:
    """Whether its node was frozen and could not say goodbye to it."""
    for freeze in troubles.freezes.get(life.node, ()):
        lease_left = LEASE_LEFT if troubles.only_freezes(freeze.began - TROUBLE_LASTS, at) else 0.0
        if life.welcomed_at < freeze.began <= at - lease_left and at <= life.ended_at <= freeze.until + WAKE_UP:
            return True
    return False


def proven(lives: list[Life], limit: LimitSet) -> Iterator[Violation]:
    for at, newcomer, open_now in _at_each_welcome([(life.welcomed_at, life.proven_at, life) for life in lives]):
        if namesakes := _same_name(newcomer, open_now):
            yield Violation(Kind.TWICE_PROVEN, at, limit.agent, _told([newcomer, *namesakes]))
        elif len(open_now) > limit.max_sessions:
            told = f"limit {limit.max_sessions}, {len(open_now)} were served: {_told(open_now)}"
            yield Violation(Kind.LIMIT_PROVEN, at, limit.agent, told)


def fencing(lives: list[Life], troubles: Troubles) -> Iterator[Violation]:
    for life in lives:
        for freeze in troubles.freezes.get(life.node, ()):
            is_long = freeze.until - freeze.began > TRUST
            if is_long and life.welcomed_at < freeze.began < life.proven_at:
                told = f"frozen from {freeze.began:.4f} to {freeze.until:.4f}, and then {life}"
                yield Violation(Kind.UNFENCED, freeze.until, life.agent or "", told)


def manners(
    history: History, lives: list[Life], limits: dict[str, LimitSet], troubles: Troubles
) -> Iterator[Violation]:
    by_session = {life.session: life for life in lives}
    for spoke in history.of(Spoke):
        life = by_session[spoke.session]
        yield Violation(Kind.SPOKE, spoke.at, life.agent or life.room or "", f"{spoke.what}: {life}")
    # With Redis' memory the agents' own limits are gone, and with them their policies.
    forgotten_at = min((t.began for t in troubles.every if t.kind is FaultKind.EMPTY_REDIS), default=NEVER)
    for life in lives:
        if life.end not in (End.BYE, End.CLOSED):
            continue
        about = life.agent or life.room or ""
        policy = limits[life.agent].policy if life.agent is not None else None
        keeps_all = policy != "evict_oldest" and life.ended_at < forgotten_at
        if life.end is End.CLOSED or life.code not in EXPECTED_CODES or (life.code == EVICTED and keeps_all):
            yield Violation(Kind.WRONG_CODE, life.ended_at, about, str(life))
        if life.code == TRY_AGAIN and not life.retry_after:
            yield Violation(Kind.BAD_REFUSAL, life.ended_at, about, str(life))


def quiet(history: History) -> Iterator[Violation]:
    for roster in history.of(Roster):
        missing = sorted(set(roster.connected) - set(roster.listed))
        leaked = sorted(set(roster.listed) - set(roster.connected))
        if missing or leaked or len(roster.listed) != len(roster.connected):
            kind = Kind.LEAKED if leaked and not roster.connected else Kind.ROSTER
            told = f"{roster.moment}: {roster.node} lists {leaked}, who are not there, and not {missing}, who are"
            yield Violation(kind, roster.at, roster.agent, told)
    limits = {event.agent: event for event in history.of(LimitSet)}
    for probe in history.of(Probed):
        limit = limits[probe.agent]
        if probe.place <= limit.max_sessions:
            if not probe.admitted or probe.seconds > ADMIT_WITHIN:
                told = f"place {probe.place} of {limit.max_sessions}, {probe.seconds:.1f} s, refused with {probe.code}"
                yield Violation(Kind.NOT_ADMITTED, probe.at, probe.agent, told)
        elif probe.admitted is not (limit.policy == "evict_oldest"):
            told = f"one more than {limit.max_sessions} under {limit.policy}: admitted is {probe.admitted}"
            yield Violation(Kind.OVERFULL, probe.at, probe.agent, told)
