"""Turns: so much at once, in the order of arrival."""

import asyncio

import pytest
from tannoy.shared.errors import Unavailable
from tannoy.shared.turns import Turns

from tests.support.clock import manual_clock, on_manual_time, turns


class Line:
    """Turns, and the names of those that have begun."""

    def __init__(self, capacity: int, *, wait_max: float | None = None) -> None:
        self.is_open = True
        self.turns = Turns(capacity, is_open=lambda: self.is_open, wait_max=wait_max)
        self.begun: list[str] = []

    def begin(self, name: str, weight: int = 1) -> "asyncio.Future[None] | None":
        turn = self.turns.begin(weight)
        if turn is None:
            self.begun.append(name)
        else:
            turn.add_done_callback(lambda turn: None if turn.cancelled() else self.begun.append(name))
        return turn

    @property
    def under_way(self) -> int:
        return self.turns.statistics().under_way


@on_manual_time
async def test_as_much_as_fits_begins_at_once_and_the_rest_in_order() -> None:
    line = Line(2)
    for name in "abcde":
        line.begin(name)
    assert line.begun == ["a", "b"]
    line.turns.end(1)
    await turns()
    assert line.begun == ["a", "b", "c"]
    line.turns.end(1)
    line.turns.end(1)
    await turns()
    assert line.begun == ["a", "b", "c", "d", "e"]


@on_manual_time
async def test_what_is_light_does_not_overtake_what_is_heavy() -> None:
    line = Line(10)
    line.begin("first", 6)
    line.begin("heavy", 6)
    line.begin("light", 1)
    assert line.begun == ["first"]
    line.turns.end(6)
    await turns()
    assert line.begun == ["first", "heavy", "light"]


@on_manual_time
async def test_what_is_heavier_than_the_capacity_goes_alone() -> None:
    line = Line(10)
    line.begin("light", 1)
    line.begin("heavy", 99)
    assert line.begun == ["light"]
    line.turns.end(1)
    line.begin("next", 1)
    await turns()
    assert line.begun == ["light", "heavy"]
    line.turns.end(99)
    await turns()
    assert line.begun == ["light", "heavy", "next"]


@on_manual_time
async def test_what_is_cancelled_while_it_waits_is_passed_over() -> None:
    line = Line(1)
    line.begin("a")
    gone = line.begin("gone")
    line.begin("c")
    assert gone is not None
    gone.cancel()
    line.turns.end(1)
    await turns()
    assert (line.begun, line.under_way) == (["a", "c"], 1)


@on_manual_time
async def test_nothing_waits_while_redis_is_away() -> None:
    line = Line(1)
    line.begin("a")
    line.begin("b")
    line.is_open = False
    line.begin("c")
    assert line.begun == ["a", "c"]
    line.turns.end(1)
    await turns()
    assert line.begun == ["a", "c", "b"]


@on_manual_time
async def test_a_run_ends_its_turn_also_if_it_fails() -> None:
    line = Line(1)

    async def fail() -> None:
        raise Unavailable("in time")

    with pytest.raises(Unavailable):
        await line.turns.run(1, fail)
    assert line.under_way == 0


@on_manual_time
async def test_a_run_that_has_to_wait_for_too_long_is_unavailable() -> None:
    line = Line(1, wait_max=2.0)
    line.begin("a")
    before = manual_clock().monotonic()
    with pytest.raises(Unavailable):
        await line.turns.run(1, turns)
    assert manual_clock().monotonic() - before == 2.0
    line.turns.end(1)
    statistics = line.turns.statistics()
    assert (statistics.under_way, statistics.waiting, statistics.waited, statistics.given_up) == (0, 0, 1, 1)


@pytest.mark.parametrize("has_begun", [False, True])
@on_manual_time
async def test_a_run_that_is_cancelled_while_it_waits_keeps_no_turn(has_begun: bool) -> None:
    line = Line(1)
    line.begin("a")
    waiting = asyncio.create_task(line.turns.run(1, turns))
    await turns()
    if has_begun:
        line.turns.end(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    if not has_begun:
        line.turns.end(1)
    assert line.under_way == 0
