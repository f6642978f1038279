"""Random attacks by many sockets, in a process of their own: `python -m tests.attack.siege PORT PORT SEED SECONDS`.

Each socket carries out one case after the other, drawn from the seed, against the first node. In the end the process
writes a line: how often which case has ended as what, as JSON.
"""

import asyncio
import json
import random
import sys
from collections import Counter, defaultdict
from contextlib import AsyncExitStack

from tests.attack.arena import Arena, RemoteArena, Target
from tests.attack.assault import carry_out
from tests.attack.case import Case
from tests.attack.cases import CASES

SOCKETS = 20
SPELL = 200.0
"""Seconds for which what a case finds there stays: less than HISTORY_TTL."""
ROUND = (1.0, 5.0)
"""Seconds for which a socket keeps to a case, from and to."""
BY_CLIENTS = [case for case in CASES if case.by_client and not (case.is_long or case.sealed or case.rated)]

Outcomes = dict[str, Counter[str]]


async def lay_siege(arena: Arena, seed: int, seconds: float) -> Outcomes:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    outcomes: Outcomes = defaultdict(Counter)
    chances = [random.Random(f"siege {seed} {number}") for number in range(SOCKETS)]
    while (left := until - loop.time()) > 0:
        async with AsyncExitStack() as stack:
            for setting in {case.setting for case in BY_CLIENTS}:
                await stack.enter_async_context(setting(arena))
            spell = loop.time() + min(left, SPELL)
            attacks = (_attack(arena, number, chance, spell, outcomes) for number, chance in enumerate(chances))
            await asyncio.gather(*attacks)
    return outcomes


async def _attack(arena: Arena, number: int, chance: random.Random, until: float, outcomes: Outcomes) -> None:
    loop = asyncio.get_running_loop()
    while (left := until - loop.time()) > 0:
        case: Case = chance.choice(BY_CLIENTS)
        assault = await carry_out(case, arena, seconds=min(left, chance.uniform(*ROUND)), first=number)
        outcomes[case.name] += assault.outcomes


async def _run(ports: tuple[int, int], seed: int, seconds: float) -> Outcomes:
    async with Target(ports[0]) as attacked, Target(ports[1]) as other:
        return await lay_siege(RemoteArena(attacked, other), seed, seconds)


if __name__ == "__main__":
    first, second, seed = map(int, sys.argv[1:4])
    json.dump(asyncio.run(_run((first, second), seed, float(sys.argv[4]))), sys.stdout)
