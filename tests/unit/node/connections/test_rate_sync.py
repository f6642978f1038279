"""The rounds in which a node tells Redis what it has let through."""

import asyncio
from collections.abc import Mapping

from tannoy.node.admission.owner_rates import OwnerRates
from tannoy.node.connections.rate_sync import SYNC_SECONDS, RateSync
from tannoy.shared.channels import OwnerKind
from tannoy.shared.rates import Rate

from tests.support.clock import manual_clock, on_manual_time

RATE = Rate(10)


class RecordingBuckets:
    """Answers with `full_in`, after `takes` seconds."""

    def __init__(self, full_in: dict[str, float], takes: float = 0.0) -> None:
        self.told: list[tuple[OwnerKind, dict[str, int]]] = []
        self._full_in = full_in
        self._takes = takes

    async def spend(self, kind: OwnerKind, rate: Rate, counts: Mapping[str, int]) -> dict[str, float]:
        assert rate == RATE
        self.told.append((kind, dict(counts)))
        await asyncio.sleep(self._takes)
        return self._full_in


async def run_for(seconds: float, sync: RateSync) -> None:
    running = asyncio.create_task(sync.run())
    await asyncio.sleep(seconds)
    running.cancel()


@on_manual_time
async def test_what_was_taken_is_told_once_for_each_kind_and_the_answer_counts() -> None:
    clock, shared = manual_clock(), RecordingBuckets({"ada": RATE.fill_seconds})
    users, agents = OwnerRates(OwnerKind.USER, RATE), OwnerRates(OwnerKind.AGENT, RATE)
    users.take("ada", clock.monotonic())
    users.take("ada", clock.monotonic())
    agents.take("42", clock.monotonic())
    await run_for(4.5 * SYNC_SECONDS, RateSync([users, agents], shared, clock))

    assert shared.told == [(OwnerKind.USER, {"ada": 2}), (OwnerKind.AGENT, {"42": 1})]
    assert RATE.fill_seconds > 3 * SYNC_SECONDS
    users.restate({}, clock.monotonic())
    admitted = sum(users.take("ada", clock.monotonic()) == 0 for _ in range(1000))
    assert admitted == int(3.5 * SYNC_SECONDS * RATE.count)


@on_manual_time
async def test_without_messages_redis_is_not_asked() -> None:
    shared = RecordingBuckets({})
    await run_for(10 * SYNC_SECONDS, RateSync([OwnerRates(OwnerKind.USER, RATE)], shared, manual_clock()))

    assert shared.told == []


@on_manual_time
async def test_a_redis_that_does_not_confirm_is_told_of_later_messages_alone() -> None:
    clock, shared = manual_clock(), RecordingBuckets({})
    users = OwnerRates(OwnerKind.USER, RATE)
    running = asyncio.create_task(RateSync([users], shared, clock).run())
    await asyncio.sleep(SYNC_SECONDS / 2)
    for _ in range(3):
        users.take("ada", clock.monotonic())
        await asyncio.sleep(SYNC_SECONDS)
    running.cancel()

    assert shared.told == [(OwnerKind.USER, {"ada": 1})] * 3
