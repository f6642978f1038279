"""What a run did, in numbers; and when that is too little to say anything."""

from collections import Counter
from dataclasses import dataclass

from tests.chaos.harness.history import End, Fault, History
from tests.chaos.limits.lives import Life, lives_of


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
    heard: int
    served_seconds: float
    """Of all sessions of agents together."""
    faults: dict[str, int]
    ends: dict[str, int]

    @property
    def heard_per_second(self) -> float:
        """How often a session proves itself, on average."""
        return self.heard / self.served_seconds if self.served_seconds else 0.0


def totals_of(history: History) -> Totals:
    lives = [life for life in lives_of(history) if life.agent is not None]
    byes = Counter(life.code for life in lives if life.end is End.BYE)
    accepted = [life for life in lives if life.was_welcomed]
    now = max((event.at for event in history.events), default=0.0)
    return Totals(
        connects=len(lives),
        accepts=len(accepted),
        refusals=sum(1 for life in lives if life.end is End.REFUSED or (_is_refusal(life))),
        evictions=byes[4500],
        replacements=byes[4506],
        fenced=byes[4004],
        unanswered=sum(1 for life in lives if life.end is End.GAVE_UP),
        heard=sum(life.heard for life in accepted),
        served_seconds=sum(min(life.ended_at, now) - life.welcomed_at for life in accepted),
        faults=dict(Counter(fault.kind.value for fault in history.of(Fault))),
        ends=dict(Counter(f"{life.end or 'lives'} {life.code or ''}".strip() for life in lives)),
    )


def _is_refusal(life: Life) -> bool:
    return life.end is End.BYE and life.code == 1013 and not life.was_welcomed


@dataclass(frozen=True, slots=True)
class Minimum:
    """Below any of it a run shows nothing. `faults_per_minute` is of the time in which there were to be any."""

    connects: int
    accepts: int
    refusals: int
    evictions: int
    faults: int
    kinds: int = 5
    heard_per_second: float = 4.0

    @classmethod
    def of_run(cls, connects: int, policy: str) -> "Minimum":
        """For a run that was asked for so many connects, of agents with this policy or with both."""
        rejects_only, evicts_only = policy == "reject", policy == "evict_oldest"
        return cls(
            connects=connects,
            accepts=connects // (20 if rejects_only else 4),  # who is refused comes again
            refusals=0 if evicts_only else connects // 50,
            evictions=0 if rejects_only else connects // 50,
            faults=max(8, connects // 600),
        )


def too_little(totals: Totals, minimum: Minimum) -> list[str]:
    """Why the run is rejected; empty: it is not."""
    wanted = {
        "connects": (totals.connects, minimum.connects),
        "accepts": (totals.accepts, minimum.accepts),
        "refusals": (totals.refusals, minimum.refusals),
        "evictions": (totals.evictions, minimum.evictions),
        "faults": (sum(totals.faults.values()), minimum.faults),
        "kinds of faults": (len(totals.faults), minimum.kinds),
        "messages heard per session and second": (round(totals.heard_per_second, 2), minimum.heard_per_second),
    }
    return [f"{what}: {was}, at least {least} are wanted" for what, (was, least) in wanted.items() if was < least]
