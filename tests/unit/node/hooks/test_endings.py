"""The application is told of the ends of sessions: in order, few at once, and at the end of the node within a bound."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tannoy import LiveSession, SessionEnd
from tannoy.node.hooks import endings
from tannoy.node.hooks.endings import SessionEndings
from tannoy.node.hooks.hooks import OnDisconnect
from tannoy.node.hooks.runner import HookRunner
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.frames import Author

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.unit_node import KEYSPACE

ADA = Author(UserId("ada"), "Ada", SessionId("s1"))
LOST = SessionEnd(None, "the connection was lost")


def endings_of(hook: OnDisconnect, at_once: int = 2) -> tuple[SessionEndings, HookRunner]:
    runner = HookRunner("on_disconnect", manual_clock(), timeout=5.0, at_once=at_once)
    return SessionEndings(hook, runner, at_once=at_once), runner


def sessions(count: int) -> list[LiveSession]:
    return [LiveSession(Session(Endpoint.ROOMS, ADA, None, KEYSPACE), None, None) for _ in range(count)]


@on_manual_time
async def test_each_end_is_told_once_in_order_and_few_at_once() -> None:
    told, most, under_way = list[LiveSession](), 0, 0

    async def hook(session: LiveSession, end: SessionEnd) -> None:
        nonlocal most, under_way
        assert end is LOST
        told.append(session)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1)
        under_way -= 1

    ends, _ = endings_of(hook)
    ended = sessions(7)
    for session in ended:
        ends.add(session, LOST)
    await ends.finish(60)

    assert (told, most) == (ended, 2)


@on_manual_time
async def test_beyond_the_bound_the_oldest_is_dropped_counted_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "ENDINGS_MAX", 2)
    may_go_on, told = asyncio.Event(), list[LiveSession]()

    async def hook(session: LiveSession, end: SessionEnd) -> None:
        told.append(session)
        await may_go_on.wait()

    ends, runner = endings_of(hook, at_once=1)
    ended = sessions(4)
    with capture_logs() as logs:
        for session in ended:
            ends.add(session, LOST)
    may_go_on.set()
    await ends.finish(60)

    assert told == [ended[0], *ended[2:]]
    assert (runner.statistics().lost, [log["event"] for log in logs]) == (
        1,
        ["a hook is not called: too many calls wait"],
    )


@on_manual_time
async def test_at_the_end_what_is_not_told_in_time_is_dropped_and_logged() -> None:
    async def hang(session: LiveSession, end: SessionEnd) -> None:
        await asyncio.Event().wait()

    ends, _ = endings_of(hang, at_once=2)
    for session in sessions(5):
        ends.add(session, LOST)
    with capture_logs() as logs:
        await ends.finish(3)
    await turns()

    (left,) = [log["sessions"] for log in logs if log["event"].startswith("the application was not told")]
    assert left == 5
