"""One wheel of timers per node: never early, at most a tick late."""

import asyncio

import pytest
from tannoy.node.connections.timers import TICK, TimerWheel

from tests.support.clock import loop_errors, manual_clock, on_manual_time


class Alarm:
    """A Timed that notes when it was due."""

    def __init__(self) -> None:
        self.tick = 0
        self.rang: list[float] = []

    def on_due(self, now: float) -> None:
        self.rang.append(now)


class Broken(Alarm):
    def on_due(self, now: float) -> None:
        super().on_due(now)
        raise RuntimeError("this one is broken")


def a_wheel() -> tuple[TimerWheel, float]:
    clock = manual_clock()
    return TimerWheel(clock), clock.monotonic()


@pytest.mark.parametrize("seconds", [0.0, 0.1, TICK, 0.3, 1.0, 10.0, 25.0])
@on_manual_time
async def test_a_deadline_is_never_early_and_at_most_two_ticks_late(seconds: float) -> None:
    # One tick by rounding up, one because the wheel turns at its own times.
    wheel, start = a_wheel()
    alarm = Alarm()
    wheel.schedule(alarm, seconds)
    await asyncio.sleep(seconds + 2 * TICK)
    (rang,) = alarm.rang
    assert seconds <= rang - start <= seconds + 2 * TICK


@on_manual_time
async def test_a_later_deadline_replaces_an_earlier_one() -> None:
    wheel, start = a_wheel()
    alarm = Alarm()
    wheel.schedule(alarm, 1.0)
    wheel.schedule(alarm, 5.0)
    await asyncio.sleep(10)
    assert len(alarm.rang) == 1
    assert alarm.rang[0] >= start + 5.0


@on_manual_time
async def test_an_earlier_deadline_replaces_a_later_one() -> None:
    wheel, start = a_wheel()
    alarm = Alarm()
    wheel.schedule(alarm, 5.0)
    wheel.schedule(alarm, 1.0)
    await asyncio.sleep(10)
    assert len(alarm.rang) == 1
    assert alarm.rang[0] < start + 5.0


@on_manual_time
async def test_a_cleared_deadline_never_comes() -> None:
    wheel, _ = a_wheel()
    alarm = Alarm()
    wheel.schedule(alarm, 1.0)
    wheel.cancel(alarm)
    wheel.cancel(alarm)
    await asyncio.sleep(10)
    assert alarm.rang == []


@on_manual_time
async def test_deadlines_come_in_their_order() -> None:
    wheel, _ = a_wheel()
    order: list[int] = []

    class Numbered(Alarm):
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
async def test_what_is_due_may_set_its_next_deadline() -> None:
    wheel, _ = a_wheel()

    class Pulse(Alarm):
        def on_due(self, now: float) -> None:
            super().on_due(now)
            if len(self.rang) < 3:
                wheel.schedule(self, 1.0)

    pulse = Pulse()
    wheel.schedule(pulse, 1.0)
    await asyncio.sleep(10)
    assert len(pulse.rang) == 3


@on_manual_time
async def test_what_is_due_may_clear_or_move_others_of_the_same_tick() -> None:
    wheel, start = a_wheel()
    alarms = [Alarm() for _ in range(6)]

    class First(Alarm):
        """Whoever is due first puts the others off; that which is asked last is nobody's turn any more."""

        def on_due(self, now: float) -> None:
            for other in firsts:
                wheel.cancel(other)
            for alarm in alarms:
                if not alarm.rang:
                    wheel.schedule(alarm, 2.0)
            self.rang.append(now)

    firsts = [First(), First()]
    for alarm in (*firsts, *alarms):
        wheel.schedule(alarm, 1.0)
    await asyncio.sleep(10)
    assert sum(len(first.rang) for first in firsts) == 1
    assert [len(alarm.rang) for alarm in alarms] == [1] * 6
    assert start < max(alarm.rang[0] for alarm in alarms)


@on_manual_time
async def test_a_wheel_that_comes_late_makes_up_for_all_it_missed() -> None:
    wheel, _ = a_wheel()
    alarms = [Alarm() for _ in range(10)]
    for number, alarm in enumerate(alarms):
        wheel.schedule(alarm, number)
    manual_clock().advance(60)  # the process was frozen
    await asyncio.sleep(TICK)
    assert [len(alarm.rang) for alarm in alarms] == [1] * 10


@on_manual_time
async def test_one_that_fails_does_not_take_the_others_with_it() -> None:
    wheel, _ = a_wheel()
    broken, same_tick, later = Broken(), [Alarm() for _ in range(5)], Alarm()
    for alarm in (broken, *same_tick):
        wheel.schedule(alarm, 1.0)
    wheel.schedule(later, 2.0)
    await asyncio.sleep(10)
    loop_errors().clear()
    assert [len(alarm.rang) for alarm in (*same_tick, later)] == [1] * 6


@on_manual_time
async def test_a_wheel_on_which_one_has_failed_takes_new_deadlines() -> None:
    wheel, _ = a_wheel()
    wheel.schedule(Broken(), 1.0)
    await asyncio.sleep(10)
    loop_errors().clear()
    alarm = Alarm()
    wheel.schedule(alarm, 1.0)
    await asyncio.sleep(10)
    assert len(alarm.rang) == 1


@on_manual_time
async def test_idle_is_set_while_nobody_waits() -> None:
    wheel, _ = a_wheel()
    first, second = Alarm(), Alarm()
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
async def test_the_wheel_counts_who_waits() -> None:
    wheel, _ = a_wheel()
    alarms = [Alarm() for _ in range(3)]
    for alarm in alarms:
        wheel.schedule(alarm, 1.0)
        wheel.schedule(alarm, 2.0)
    assert wheel.statistics().waiting == 3
    await asyncio.sleep(10)
    assert wheel.statistics().waiting == 0


@on_manual_time
async def test_a_closed_wheel_calls_nobody() -> None:
    wheel, _ = a_wheel()
    alarm = Alarm()
    wheel.schedule(alarm, 1.0)
    wheel.close()
    await asyncio.sleep(10)
    assert alarm.rang == []
