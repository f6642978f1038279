"""What a run did, in numbers; and when that is too little to prove anything."""

from collections import Counter
from dataclasses import dataclass

from tests.chaos.harness.history import End, Fault, History
from tests.chaos.limits.sessions import SessionRecord, sessions_of


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run did, in numbers."""

    connects: int
    accepts: int
    refusals: int
    evictions: int
    replacements: int
    fenced: int
    unanswered: int
    received: int
    served_seconds: float
    """Sum over all sessions of agents."""
    faults: dict[str, int]
    ends: dict[str, int]
    snapshots_requested: int
    """How often a member of a room missed an event and requested a snapshot."""

    @property
    def received_per_second(self) -> float:
        """Messages received per session and second, on average: how often a session proves that it is served."""
        return self.received / self.served_seconds if self.served_seconds else 0.0

    def as_lines(self, seconds: float) -> list[str]:
        per_second = f"{self.received_per_second:.1f} per session and second"
        return [
            f"connects     {self.connects}: {self.accepts} accepted, {self.refusals} refused",
            f"unanswered   {self.unanswered}",
            f"ends         {', '.join(f'{end}: {count}' for end, count in sorted(self.ends.items()))}",
            f"closed       {self.evictions} with 4500, {self.replacements} with 4506, {self.fenced} with 4004",
            f"received     {self.received} numbered messages, {per_second}",
            f"presence     {self.snapshots_requested} snapshots requested after a missed event",
        ]


def totals_of(history: History, snapshots_requested: int = 0) -> Totals:
    sessions = [session for session in sessions_of(history) if session.agent is not None]
    byes = Counter(session.code for session in sessions if session.end is End.BYE)
    accepted = [session for session in sessions if session.was_welcomed]
    now = max((event.at for event in history.events), default=0.0)
    return Totals(
        connects=len(sessions),
        accepts=len(accepted),
        refusals=sum(1 for session in sessions if session.end is End.REFUSED or (_is_refusal(session))),
        evictions=byes[4500],
        replacements=byes[4506],
        fenced=byes[4004],
        unanswered=sum(1 for session in sessions if session.end is End.GAVE_UP),
        received=sum(session.received for session in accepted),
        served_seconds=sum(min(session.ended_at, now) - session.welcomed_at for session in accepted),
        faults=dict(Counter(fault.kind.value for fault in history.of(Fault))),
        ends=dict(Counter(f"{session.end or 'live'} {session.code or ''}".strip() for session in sessions)),
        snapshots_requested=snapshots_requested,
    )


def _is_refusal(session: SessionRecord) -> bool:
    return session.end is End.BYE and session.code == 1013 and not session.was_welcomed


@dataclass(frozen=True, slots=True)
class Minimum:
    """A run with less of any of these proves nothing. `kinds`: of faults."""

    connects: int
    accepts: int
    refusals: int
    evictions: int
    faults: int
    kinds: int = 5
    received_per_second: float = 4.0

    @classmethod
    def of_run(cls, connects: int, policy: str) -> "Minimum":
        """For a run with this many connects of agents with this policy, or `both`."""
        rejects_only, evicts_only = policy == "reject", policy == "evict_oldest"
        return cls(
            connects=connects,
            accepts=connects // (20 if rejects_only else 4),  # a refused client retries
            refusals=0 if evicts_only else connects // 50,
            evictions=0 if rejects_only else connects // 50,
            faults=max(8, connects // 600),
        )


def too_little(totals: Totals, minimum: Minimum) -> list[str]:
    """The reasons to reject the run; empty if there are none."""
    wanted = {
        "connects": (totals.connects, minimum.connects),
        "accepts": (totals.accepts, minimum.accepts),
        "refusals": (totals.refusals, minimum.refusals),
        "evictions": (totals.evictions, minimum.evictions),
        "faults": (sum(totals.faults.values()), minimum.faults),
        "kinds of faults": (len(totals.faults), minimum.kinds),
        "messages received per session and second": (round(totals.received_per_second, 2), minimum.received_per_second),
    }
    return [f"{what}: {was}, at least {least} are wanted" for what, (was, least) in wanted.items() if was < least]
