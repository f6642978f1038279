"""How many joins are under way at once: more while they are quick, fewer while they, or the event loop, are slow."""

import asyncio

import pytest
from tannoy.node.connections.join_turns import (
    AT_ONCE_FIRST,
    AT_ONCE_LEAST,
    LEASE_SECONDS,
    SLOW_JOIN,
    SLOW_TURN,
    WAIT_MAX,
    JoinsAtOnce,
    JoinTurns,
)
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time

QUICK = SLOW_JOIN / 10


def _observe(
    at_once: JoinsAtOnce,
    times: int,
    *,
    join: float = QUICK,
    turn: float = 0.0,
    has_failed: bool = False,
    others_wait: bool = True,
) -> None:
    for _ in range(times):
        at_once.observe(1000.0, join, turn, has_failed=has_failed, others_wait=others_wait)


def test_while_joins_are_quick_and_others_wait_more_are_at_once() -> None:
    at_once = JoinsAtOnce()
    _observe(at_once, 10 * AT_ONCE_FIRST)
    assert at_once.value > 1.5 * AT_ONCE_FIRST


def test_while_nobody_waits_as_many_stay_at_once() -> None:
    at_once = JoinsAtOnce()
    _observe(at_once, 10 * AT_ONCE_FIRST, others_wait=False)
    assert at_once.value == AT_ONCE_FIRST


@pytest.mark.parametrize(
    "slow",
    [{"turn": SLOW_TURN * 1.1}, {"join": SLOW_JOIN * 4}, {"has_failed": True}],
    ids=["the event loop", "Redis", "a failure"],
)
def test_while_something_is_slow_fewer_are_at_once(slow: dict[str, float]) -> None:
    at_once = JoinsAtOnce()
    _observe(at_once, 1)
    _observe(at_once, 1, **slow)  # type: ignore[arg-type]
    assert AT_ONCE_LEAST < at_once.value < AT_ONCE_FIRST
    _observe(at_once, 1000, **slow)  # type: ignore[arg-type]
    assert at_once.value == AT_ONCE_LEAST


def test_joins_that_began_together_are_slow_once() -> None:
    at_once = JoinsAtOnce()
    _observe(at_once, 1)
    _observe(at_once, 1, join=SLOW_JOIN * 4)
    cut = at_once.value
    _observe(at_once, cut - 1, join=SLOW_JOIN * 4)
    assert at_once.value == cut


def test_where_redis_is_far_away_a_join_is_slow_by_what_the_quickest_takes() -> None:
    at_once = JoinsAtOnce()
    far = SLOW_JOIN * 2
    _observe(at_once, 100, join=far)
    assert at_once.value > AT_ONCE_FIRST
    grown = at_once.value
    _observe(at_once, 1, join=far * 2.5)
    assert at_once.value < grown


class Joins:
    """Turns, and joins that last until they are let go."""

    def __init__(self) -> None:
        self.is_open = True
        self.turns = JoinTurns(manual_clock(), is_open=lambda: self.is_open)
        self.begun = 0
        self.may_end = asyncio.Event()

    async def join(self) -> None:
        self.begun += 1
        await self.may_end.wait()

    def start(self, clients: int) -> list["asyncio.Task[None]"]:
        return [asyncio.create_task(self.turns.run(self.join)) for _ in range(clients)]


@on_manual_time
async def test_joins_beyond_those_at_once_begin_when_others_have_ended() -> None:
    joins = Joins()
    started = joins.start(AT_ONCE_FIRST + 5)
    await asyncio.sleep(0.001)
    assert (joins.begun, joins.turns.statistics().waiting) == (AT_ONCE_FIRST, 5)

    joins.may_end.set()
    await asyncio.gather(*started)
    assert (joins.begun, joins.turns.statistics().under_way) == (AT_ONCE_FIRST + 5, 0)


@on_manual_time
async def test_a_join_whose_turn_does_not_come_is_unavailable() -> None:
    joins = Joins()
    started = joins.start(AT_ONCE_FIRST)
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many join at once"):
        await joins.turns.run(joins.join)
    assert manual_clock().monotonic() >= 1000 + WAIT_MAX
    joins.may_end.set()
    await asyncio.gather(*started)


@on_manual_time
async def test_while_redis_is_away_no_join_waits_for_its_turn() -> None:
    joins = Joins()
    joins.is_open = False
    started = joins.start(AT_ONCE_FIRST + 5)
    await asyncio.sleep(0)
    assert joins.begun == AT_ONCE_FIRST + 5
    joins.may_end.set()
    await asyncio.gather(*started)


@on_manual_time
async def test_leases_that_wait_for_others_do_not_keep_joins_waiting() -> None:
    joins = Joins()
    leases = [asyncio.create_task(joins.turns.run_lease(joins.join)) for _ in range(AT_ONCE_FIRST)]
    await asyncio.sleep(0)
    late = joins.start(1)
    await asyncio.sleep(LEASE_SECONDS / 2)
    assert joins.begun == AT_ONCE_FIRST
    await asyncio.sleep(LEASE_SECONDS)
    assert joins.begun == AT_ONCE_FIRST + 1

    joins.may_end.set()
    await asyncio.gather(*leases, *late)
    assert joins.turns.statistics().under_way == 0


@on_manual_time
async def test_a_join_that_is_cancelled_while_it_waits_gives_its_turn_to_the_next() -> None:
    joins = Joins()
    started = joins.start(AT_ONCE_FIRST + 2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    started[AT_ONCE_FIRST].cancel()
    joins.may_end.set()
    await asyncio.gather(*started, return_exceptions=True)
    assert (joins.begun, joins.turns.statistics().under_way) == (AT_ONCE_FIRST + 1, 0)
