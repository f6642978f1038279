"""One case against the bystander, on a cluster of its own: alone, then under attack; the result."""

import asyncio

from tests.attack.arena import OwnArena
from tests.attack.assault import carry_out
from tests.attack.case import Case
from tests.attack.meter import Meter
from tests.attack.remote_bystander import RemoteBystander
from tests.attack.verdict import Result
from tests.attack.window import Window
from tests.chaos.harness.pacing import ticks

ALONE = 2.0
"""Seconds in which the bystander is measured alone; and warmed up, before that."""
SETTLES_WITHIN = 10.0
LOOK_EVERY = 0.25


async def run(case: Case, *, sockets: int, seconds: float) -> Result:
    async with (
        OwnArena(sealed=case.sealed, rated=case.rated) as arena,
        RemoteBystander((arena.attacked.port, arena.other.port)) as bystander,
        case.setting(arena),
    ):
        await asyncio.sleep(ALONE)
        await bystander.begin()
        await asyncio.sleep(ALONE)
        before = await bystander.settle(SETTLES_WITHIN)
        return await _measure(case, arena, bystander, before, sockets, seconds)


async def _measure(
    case: Case, arena: OwnArena, bystander: RemoteBystander, before: Window, sockets: int, seconds: float
) -> Result:
    loop = asyncio.get_running_loop()
    meter, watch = Meter(arena), ReadyWatch(arena)
    await meter.begin()
    await bystander.begin()
    watching = asyncio.create_task(watch.run())
    began = loop.time()
    assault = await carry_out(case, arena, sockets=sockets, seconds=seconds)
    took = loop.time() - began
    window = await bystander.settle(SETTLES_WITHIN)
    watching.cancel()
    return Result(
        name=case.name,
        fault=case.fault,
        sockets=sockets,
        seconds=took,
        sent=assault.sent,
        before=before,
        window=window,
        cost=await meter.end(took) if arena.attacked.is_alive else None,
        outcomes=assault.outcomes,
        expected=case.ends_as,
        not_ready=watch.not_ready,
        connections_mb=case.connections_mb,
        cuts_link=case.cuts_link,
    )


class ReadyWatch:
    """Looks at `/health/ready` of both nodes, as a load balancer does."""

    def __init__(self, arena: OwnArena) -> None:
        self.not_ready = 0
        self._arena = arena

    async def run(self) -> None:
        """Runs until it is cancelled."""
        async for _ in ticks(LOOK_EVERY):
            if not await self._arena.is_ready():
                self.not_ready += 1
