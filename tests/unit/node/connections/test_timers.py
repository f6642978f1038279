"""The timer wheel: deadlines are never early, and at most two ticks late."""

import asyncio

import pytest
from tannoy.node.connections.timers import TICK, TimerWheel

from tests.support.clock import loop_errors, manual_clock, on_manual_time


class RecordingTimed:
    """A Timed that records when it was called."""

    def __init__(self) -> None:
        self.tick = 0
        self.called_at: list[float] = []

    def on_due(self, now: float) -> None:
        self.called_at.append(now)


class Broken(RecordingTimed):
    def on_due(self, now: float) -> None:
        super().on_due(now)
        raise RuntimeError("this one is broken")


def new_wheel() -> tuple[TimerWheel, float]:
    clock = manual_clock()
    return TimerWheel(clock), clock.monotonic()


@pytest.mark.parametrize("seconds", [0.0, 0.1, TICK, 0.3, 1.0, 10.0, 25.0])
@on_manual_time
async def test_deadline_is_never_early_and_at_most_two_ticks_late(seconds: float) -> None:
    # One tick by rounding up, and one because the ticks of the wheel are not those of the clock.
    wheel, start = new_wheel()
    timed = RecordingTimed()
    wheel.schedule(timed, seconds)
    await asyncio.sleep(seconds + 2 * TICK)
    (called_at,) = timed.called_at
    assert seconds <= called_at - start <= seconds + 2 * TICK


@on_manual_time
async def test_later_deadline_replaces_an_earlier_one() -> None:
    wheel, start = new_wheel()
    timed = RecordingTimed()
    wheel.schedule(timed, 1.0)
    wheel.schedule(timed, 5.0)
    await asyncio.sleep(10)
    assert len(timed.called_at) == 1
    assert timed.called_at[0] >= start + 5.0


@on_manual_time
async def test_earlier_deadline_replaces_a_later_one() -> None:
    wheel, start = new_wheel()
    timed = RecordingTimed()
    wheel.schedule(timed, 5.0)
    wheel.schedule(timed, 1.0)
    await asyncio.sleep(10)
    assert len(timed.called_at) == 1
    assert timed.called_at[0] < start + 5.0


@on_manual_time
async def test_cancelled_deadline_is_not_called() -> None:
    wheel, _ = new_wheel()
    timed = RecordingTimed()
    wheel.schedule(timed, 1.0)
    wheel.cancel(timed)
    wheel.cancel(timed)
    await asyncio.sleep(10)
    assert timed.called_at == []


@on_manual_time
async def test_deadlines_are_called_in_order() -> None:
    wheel, _ = new_wheel()
    order: list[int] = []

    class Numbered(RecordingTimed):
        def __init__(self, number: int) -> None:
            super().__init__()
            self._number = number

        def on_due(self, now: float) -> None:
            order.append(self._number)

    for number in (3, 1, 2):
        wheel.schedule(Numbered(number), number)
    await asyncio.sleep(10)
    assert order == [1, 2, 3]


@on_manual_time
async def test_on_due_may_schedule_the_next_deadline() -> None:
    wheel, _ = new_wheel()

    class Repeating(RecordingTimed):
        def on_due(self, now: float) -> None:
            super().on_due(now)
            if len(self.called_at) < 3:
                wheel.schedule(self, 1.0)

    repeating = Repeating()
    wheel.schedule(repeating, 1.0)
    await asyncio.sleep(10)
    assert len(repeating.called_at) == 3


@on_manual_time
async def test_on_due_may_cancel_or_reschedule_others_of_the_same_tick() -> None:
    wheel, start = new_wheel()
    others = [RecordingTimed() for _ in range(6)]

    class First(RecordingTimed):
        """The first one called cancels both of its class, and reschedules the other objects."""

        def on_due(self, now: float) -> None:
            for other in firsts:
                wheel.cancel(other)
            for timed in others:
                if not timed.called_at:
                    wheel.schedule(timed, 2.0)
            self.called_at.append(now)

    firsts = [First(), First()]
    for timed in (*firsts, *others):
        wheel.schedule(timed, 1.0)
    await asyncio.sleep(10)
    assert sum(len(first.called_at) for first in firsts) == 1
    assert [len(timed.called_at) for timed in others] == [1] * 6
    assert start < max(timed.called_at[0] for timed in others)


@on_manual_time
async def test_deadlines_missed_by_a_frozen_process_are_called_at_the_next_tick() -> None:
    wheel, _ = new_wheel()
    objects = [RecordingTimed() for _ in range(10)]
    for number, timed in enumerate(objects):
        wheel.schedule(timed, number)
    manual_clock().advance(60)  # the process was frozen
    await asyncio.sleep(TICK)
    assert [len(timed.called_at) for timed in objects] == [1] * 10


@on_manual_time
async def test_on_due_that_raises_does_not_stop_the_other_deadlines() -> None:
    wheel, _ = new_wheel()
    broken, same_tick, later = Broken(), [RecordingTimed() for _ in range(5)], RecordingTimed()
    for timed in (broken, *same_tick):
        wheel.schedule(timed, 1.0)
    wheel.schedule(later, 2.0)
    await asyncio.sleep(10)
    loop_errors().clear()
    assert [len(timed.called_at) for timed in (*same_tick, later)] == [1] * 6


@on_manual_time
async def test_wheel_takes_new_deadlines_after_on_due_has_raised() -> None:
    wheel, _ = new_wheel()
    wheel.schedule(Broken(), 1.0)
    await asyncio.sleep(10)
    loop_errors().clear()
    timed = RecordingTimed()
    wheel.schedule(timed, 1.0)
    await asyncio.sleep(10)
    assert len(timed.called_at) == 1


@on_manual_time
async def test_idle_is_set_while_there_is_no_deadline() -> None:
    wheel, _ = new_wheel()
    first, second = RecordingTimed(), RecordingTimed()
    seen = [wheel.idle.is_set()]
    wheel.schedule(first, 1.0)
    wheel.schedule(second, 1.0)
    seen.append(wheel.idle.is_set())
    wheel.cancel(first)
    seen.append(wheel.idle.is_set())
    await asyncio.sleep(10)
    seen.append(wheel.idle.is_set())
    assert seen == [True, False, False, True]


@on_manual_time
async def test_statistics_count_the_objects_with_a_deadline() -> None:
    wheel, _ = new_wheel()
    objects = [RecordingTimed() for _ in range(3)]
    for timed in objects:
        wheel.schedule(timed, 1.0)
        wheel.schedule(timed, 2.0)
    assert wheel.statistics().waiting == 3
    await asyncio.sleep(10)
    assert wheel.statistics().waiting == 0


@on_manual_time
async def test_closed_wheel_calls_no_deadline() -> None:
    wheel, _ = new_wheel()
    timed = RecordingTimed()
    wheel.schedule(timed, 1.0)
    wheel.close()
    await asyncio.sleep(10)
    assert timed.called_at == []
