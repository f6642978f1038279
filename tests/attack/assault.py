"""Carrying an attack out: rounds of some attackers, until a time or a budget is over."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tests.attack.arena import Arena
from tests.attack.case import Attacker, Case
from tests.attack.peer import LEAST, Budget, Gone, Spent

BUDGET = 10_000_000
"""Bytes that one attacker sends at most, over all its connections."""
LATE = 15.0
"""Seconds beyond its time after which a round is given up."""
UNFINISHED = "unfinished"


@dataclass(slots=True)
class Assault:
    """What the attackers got, and the megabytes that they sent."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    sent: float = 0.0


async def carry_out(
    case: Case,
    arena: Arena,
    *,
    seconds: float,
    sockets: int = 1,
    budget: int = BUDGET,
    rounds: int | None = None,
    late: float = LATE,
    first: int = 0,
) -> Assault:
    """`budget`: bytes of each attacker; `rounds`: of each, at most. One begins, however little time there is.

    `first`: the number of the first attacker, by which attackers of several assaults have rooms of their own.
    """
    assault = Assault()
    until = asyncio.get_running_loop().time() + seconds
    attackers = [Attacker(arena, number, until, Budget(budget)) for number in range(first, first + sockets)]
    await asyncio.gather(*(_attack(case, attacker, assault, rounds, late) for attacker in attackers))
    assault.sent = sum(budget - attacker.budget.left for attacker in attackers) / 1e6
    return assault


async def _attack(case: Case, attacker: Attacker, assault: Assault, rounds: int | None, late: float) -> None:
    done = 0
    while done == 0 or (attacker.goes_on and attacker.budget.left >= LEAST and (rounds is None or done < rounds)):
        done += 1
        try:
            async with asyncio.timeout(attacker.seconds_left + late):
                assault.outcomes[await case.attack(attacker)] += 1
        except TimeoutError:
            assault.outcomes[UNFINISHED] += 1
        except Gone:
            assault.outcomes["ended"] += 1
        except Spent:
            return
