"""How a node that leaves closes its sessions: when, in which order of steps, and how fast."""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest
from tannoy.node.lifecycle.drain import (
    AT_ONCE,
    CLOSE_TIMEOUT,
    CLOSED_LEAST_PER_SECOND,
    RETRY_WITHIN,
    RETRY_WITHIN_MOST,
    TAKEN_PER_SECOND,
    Drain,
    DrainPlan,
    count_due,
    plan_drain,
)
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.nodes import NodeInfo

from tests.support.clock import manual_clock, on_manual_time, turns

OTHER = NodeInfo("n2", "bbbb", 10, 10, 0.0, "0.1.0", draining=False, ready=True, started_at="2026-01-01T00:00:00.000Z")

# ---- the plan


@pytest.mark.parametrize(
    ("sessions", "others", "seconds"),
    [
        pytest.param(10, [OTHER], 10 / CLOSED_LEAST_PER_SECOND, id="few go quickly"),
        pytest.param(5000, [OTHER], 30.0, id="many have all of the time"),
        pytest.param(5000, [replace(OTHER, load=1.0)], 30.0, id="more than the others can take have no longer"),
    ],
)
def test_sessions_are_closed_within_the_time_of_the_settings(
    sessions: int, others: list[NodeInfo], seconds: float
) -> None:
    assert plan_drain(sessions, others, 30.0).seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("others", "per_second"),
    [
        ([OTHER, OTHER], 2 * TAKEN_PER_SECOND),
        ([replace(OTHER, load=0.6)], 0.4 * TAKEN_PER_SECOND),
        ([OTHER, replace(OTHER, draining=True), replace(OTHER, ready=False)], TAKEN_PER_SECOND),
    ],
    ids=["idle ones", "a busy one takes less", "those that take nobody do not count"],
)
def test_the_pace_is_what_the_other_nodes_can_take(others: list[NodeInfo], per_second: float) -> None:
    assert plan_drain(100, others, 30.0).per_second == pytest.approx(per_second)


@pytest.mark.parametrize("others", [[], [replace(OTHER, draining=True)]], ids=["none", "one that leaves too"])
def test_where_no_node_takes_anybody_waiting_helps_nobody(others: list[NodeInfo]) -> None:
    assert plan_drain(100, others, 30.0) is AT_ONCE


def test_what_is_due_in_a_tick_is_a_share_of_what_is_left_and_no_more_than_the_others_take() -> None:
    assert count_due(3000, 30.0, 250.0) == 10
    assert count_due(3000, 3.0, 250.0) == 25
    assert count_due(5, 0.0, 250.0) == 5


# ---- the steps


class Sessions:
    """Open sessions; one that is closed is no longer among them, and is recorded with the time."""

    def __init__(self, count: int) -> None:
        self.open = {RecordingSession(self) for _ in range(count)}
        self.closed: list[tuple[float, float]] = []
        """Seconds since the start of the test, and `retry_after`."""

    def list(self) -> Collection["RecordingSession"]:
        return tuple(self.open)


class RecordingSession:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._began = manual_clock().monotonic()

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        assert code is CloseCode.DRAINING
        assert retry_after is not None
        self._sessions.open.discard(self)
        self._sessions.closed.append((manual_clock().monotonic() - self._began, retry_after))


def drain_of(
    sessions: Sessions, others: list[NodeInfo] | None, *, delay: float = 5.0, seconds: float = 30.0
) -> tuple[Drain, asyncio.Event]:
    """`others` None: Redis does not tell them."""
    all_closed = asyncio.Event()
    all_closed.set()

    async def list_others() -> list[NodeInfo]:
        if others is None:
            raise Unavailable("Redis is away")
        return others

    return Drain(sessions.list, all_closed, list_others, manual_clock(), delay=delay, seconds=seconds), all_closed


@on_manual_time
async def test_until_balancers_have_noticed_the_node_is_not_ready_and_serves() -> None:
    sessions = Sessions(1)
    drain, _ = drain_of(sessions, [OTHER], delay=5.0)
    running = asyncio.create_task(drain.run())
    await turns()
    assert (drain.is_announced, drain.is_closing, len(sessions.open)) == (True, False, 1)
    await running
    assert (drain.is_closing, len(sessions.open)) == (True, 0)
    assert sessions.closed[0][0] >= 5.0


@on_manual_time
async def test_nothing_is_accepted_any_more_before_the_first_session_is_closed() -> None:
    sessions, closed_then = Sessions(3), list[int]()
    drain, _ = drain_of(sessions, [OTHER])
    await drain.run(lambda: closed_then.append(len(sessions.closed)))
    assert closed_then == [0]
    assert len(sessions.closed) == 3


@pytest.mark.parametrize("others", [[OTHER], None], ids=["known others", "unknown others"])
@on_manual_time
async def test_many_sessions_are_closed_evenly_over_the_time(others: list[NodeInfo] | None) -> None:
    sessions = Sessions(3000)
    drain, _ = drain_of(sessions, others, delay=0, seconds=30.0)
    await drain.run()
    in_each_second = [sum(1 for at, _ in sessions.closed if second <= at < second + 1) for second in range(30)]
    assert sum(in_each_second) == 3000
    assert all(75 <= count <= 125 for count in in_each_second[:-1])
    assert all(0 <= wait <= RETRY_WITHIN for _, wait in sessions.closed)
    assert len({wait for _, wait in sessions.closed}) > 50


@on_manual_time
async def test_what_the_others_can_not_take_in_time_is_closed_in_the_end_and_spread_further() -> None:
    sessions = Sessions(3000)
    drain, _ = drain_of(sessions, [OTHER], delay=0, seconds=2.0)
    await drain.run()
    in_turn = [wait for at, wait in sessions.closed if at < 2.0]
    rest = [wait for at, wait in sessions.closed if at >= 2.0]
    assert len(in_turn) + len(rest) == 3000
    assert len(in_turn) <= 2.2 * TAKEN_PER_SECOND
    assert RETRY_WITHIN < max(rest) <= RETRY_WITHIN_MOST


@on_manual_time
async def test_a_session_that_comes_while_others_are_closed_is_closed_too() -> None:
    sessions = Sessions(100)
    drain, _ = drain_of(sessions, [OTHER], delay=0)
    running = asyncio.create_task(drain.run())
    await asyncio.sleep(1.0)
    sessions.open.add(RecordingSession(sessions))
    await running
    assert len(sessions.closed) == 101


# ---- in a hurry


@on_manual_time
async def test_in_a_hurry_nobody_is_waited_for_but_clients() -> None:
    sessions, before = Sessions(1000), manual_clock().monotonic()
    drain, all_closed = drain_of(sessions, [OTHER])
    all_closed.clear()
    drain.hurry()
    await drain.run()
    assert len(sessions.closed) == 1000
    assert {at for at, _ in sessions.closed} == {0.0}
    assert manual_clock().monotonic() - before == pytest.approx(CLOSE_TIMEOUT)


@pytest.mark.parametrize("after", [1.0, 10.0], ids=["before the first is closed", "while they are closed"])
@on_manual_time
async def test_a_drain_that_is_given_up_closes_what_is_left_and_waits_for_nothing(after: float) -> None:
    sessions, before = Sessions(3000), manual_clock().monotonic()
    drain, all_closed = drain_of(sessions, [OTHER], delay=5.0)
    all_closed.clear()
    running = asyncio.create_task(drain.run())
    await asyncio.sleep(after)
    drain.give_up()
    await running
    assert len(sessions.closed) == 3000
    assert manual_clock().monotonic() - before == pytest.approx(after)


@on_manual_time
async def test_whoever_drains_too_waits_for_the_one_that_runs() -> None:
    sessions = Sessions(10)
    drain, _ = drain_of(sessions, [OTHER], delay=1.0)
    await asyncio.gather(drain.run(), drain.run())
    assert len(sessions.closed) == 10


@on_manual_time
async def test_clients_that_do_not_answer_are_waited_for_no_longer_than_the_timeout() -> None:
    before = manual_clock().monotonic()
    drain, all_closed = drain_of(Sessions(0), [OTHER], delay=0)
    all_closed.clear()
    await drain.run()
    assert manual_clock().monotonic() - before == pytest.approx(CLOSE_TIMEOUT)


def test_a_plan_of_nothing_is_done_at_once() -> None:
    assert plan_drain(0, [OTHER], 30.0) == DrainPlan(0.0, TAKEN_PER_SECOND)
