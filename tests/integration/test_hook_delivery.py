"""Delivery of events from a real Valkey to a real HTTP target, and what is told of sessions."""

import asyncio
import itertools
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tannoy.fanout.pubsub.envelopes import PLAIN
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.webhooks import session_events
from tannoy.fanout.webhooks.calls import HookCalls, SessionChange
from tannoy.fanout.webhooks.delivery import EVENTS_MAX, HookDelivery
from tannoy.fanout.webhooks.events import Event, EventReader
from tannoy.fanout.webhooks.session_events import LOOKS, DeadProcesses, SessionEvents, TellRules
from tannoy.fanout.webhooks.target import HookTarget, TargetRules
from tannoy.shared.clock import SystemClock
from tannoy.shared.hook_events import SESSION_EVENTS, HookEvent
from tannoy.shared.ip_addresses import parse_network
from tannoy.shared.keyspace import Keyspace

from tests.support.hook_receiver import SECRET, Answer, HookReceiver, Request
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually

_prefixes = itertools.count(1)
A_DAY = 86_400.0
LOOPBACK = (parse_network("127.0.0.1"),)


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
def receiver() -> Generator[HookReceiver]:
    with HookReceiver().running() as receiver:
        yield receiver


class Delivered:
    """One cluster's events, and processes that deliver them."""

    def __init__(self, pipeline: Pipeline, receiver: HookReceiver) -> None:
        self.keyspace = Keyspace(f"h{next(_prefixes)}")
        self.calls = HookCalls(pipeline, self.keyspace, EventReader(self.keyspace, PLAIN), backlog=10_000)
        self.pipeline = pipeline
        self.receiver = receiver

    async def queue(self, *ids: int | str, type: str = "user_left") -> None:
        """Events of these ids, in one partition."""
        for id in ids:
            await self.pipeline.send(
                "XADD", self.keyspace.hooks(0), "*", "t", "again", "j", f'{{"id": "{id}", "type": "{type}"}}'
            )

    def sent(self) -> list[str]:
        """The ids that the target was sent, in order, each as often as it was."""
        return [event["id"] for request in self.receiver.requests for event in request.json["events"]]

    async def until_sent(self, *ids: int | str) -> None:
        wanted = [str(id) for id in ids]

        async def has_come() -> bool:
            return len(self.sent()) >= len(wanted)

        await eventually(has_come, what=f"{len(wanted)} events are sent")
        assert self.sent() == wanted

    async def is_empty(self) -> bool:
        return not await self.calls.waiting()

    @asynccontextmanager
    async def delivering(
        self, name: str = "n1", *, timeout: float = PATIENCE, retry_seconds: float = A_DAY
    ) -> AsyncGenerator[HookDelivery]:
        rules = TargetRules(SECRET.encode(), timeout, networks=LOOPBACK)
        target = HookTarget("hook target", "TANNOY_HOOK_URL", self.receiver.url, rules, SystemClock(), version="0")
        await target.open()
        delivery = HookDelivery(
            self.calls,
            target,
            name=name,
            clock=SystemClock(),
            timeout=timeout,
            retry_seconds=retry_seconds,
            wanted=tuple(HookEvent),
            uniform=lambda least, most: 0.01,
        )
        task = asyncio.create_task(delivery.run())
        try:
            yield delivery
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await target.close()


@pytest.fixture
async def hooks(valkey: Valkey, receiver: HookReceiver) -> AsyncGenerator[Delivered]:
    async with open_pipeline(valkey, ()) as pipeline:
        yield Delivered(pipeline, receiver)


# ---- delivery


async def test_events_are_delivered_in_order_in_batches_and_wait_no_more(hooks: Delivered) -> None:
    await hooks.queue(*range(250))
    async with hooks.delivering() as delivery:
        await hooks.until_sent(*range(250))
        await eventually(hooks.is_empty, what="nothing waits")
    assert [len(request.json["events"]) for request in hooks.receiver.requests] == [EVENTS_MAX, EVENTS_MAX, 50]
    assert delivery.statistics().delivered == 250


async def test_what_the_target_does_not_take_is_sent_again_and_what_came_later_waits(hooks: Delivered) -> None:
    statuses = iter((500, 404, 429))
    hooks.receiver.answer = lambda request: Answer(next(statuses, 200))
    await hooks.queue(1)
    async with hooks.delivering():
        await hooks.until_sent(1, 1, 1, 1)
        await hooks.queue(2)
        await hooks.until_sent(1, 1, 1, 1, 2)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_one_event_that_is_refused_becomes_a_dead_letter_and_the_others_are_delivered(
    hooks: Delivered, status: int
) -> None:
    hooks.receiver.answer = lambda request: Answer(status if '"5"' in request.body else 200)
    await hooks.queue(*range(9))
    async with hooks.delivering() as delivery:
        await eventually(hooks.is_empty, what="nothing waits")
    (letter,) = await hooks.calls.list_dead(10, None)
    assert (letter.event["id"], letter.reason) == ("5", f"the answer is {status}")
    assert set(hooks.sent()) == {str(number) for number in range(9)}
    assert delivery.statistics().delivered == 8


async def test_an_event_that_was_not_taken_for_too_long_becomes_a_dead_letter(hooks: Delivered) -> None:
    hooks.receiver.answer = lambda request: Answer(500)
    await hooks.queue(1)
    async with hooks.delivering(retry_seconds=-60):
        await eventually(hooks.is_empty, what="nothing waits")
    (letter,) = await hooks.calls.list_dead(10, None)
    assert letter.reason == "not taken for -60 s: the answer is 500"


async def test_a_target_that_hangs_is_asked_again(hooks: Delivered) -> None:
    may_answer = threading.Event()

    def hang_once(request: Request) -> Answer:
        if len(hooks.receiver.requests) == 1:
            may_answer.wait(PATIENCE)
        return Answer()

    hooks.receiver.answer = hang_once
    await hooks.queue(1)
    async with hooks.delivering(timeout=0.2):
        await hooks.until_sent(1, 1)
    may_answer.set()


async def test_one_process_delivers_and_another_goes_on_when_it_stops(hooks: Delivered) -> None:
    async with hooks.delivering("n1") as first:
        await hooks.queue(1)
        await hooks.until_sent(1)
        async with hooks.delivering("n2") as second:
            await hooks.queue(2)
            await hooks.until_sent(1, 2)
            assert (first.leads, second.leads) == (True, False)
    async with hooks.delivering("n3") as third:
        await hooks.queue(3)
        await hooks.until_sent(1, 2, 3)
        assert third.leads


async def test_events_that_nobody_asked_for_are_dropped(hooks: Delivered) -> None:
    await hooks.queue("odd", type="of_another_version")
    await hooks.queue(1)
    async with hooks.delivering():
        await hooks.until_sent(1)
        await eventually(hooks.is_empty, what="nothing waits")


# ---- sessions


@asynccontextmanager
async def telling(hooks: Delivered) -> AsyncGenerator[SessionEvents]:
    events = SessionEvents(hooks.calls, TellRules("abc", "n1", SESSION_EVENTS), SystemClock())
    task = asyncio.create_task(events.run())
    try:
        yield events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(hooks: Delivered) -> list[dict[str, Any]]:
    return [queued.event for queued in await hooks.calls.read(0, 1000, 1_000_000)]


async def test_sessions_are_told_in_order_with_what_they_were_and_why_they_ended(hooks: Delivered) -> None:
    async with telling(hooks) as events:
        session = events.opened({"session_id": "s1", "user_id": "ada"})
        events.closed(session, 4001, "node is draining")
        await events.finish(PATIENCE)
    opened, closed = await told(hooks)
    assert (opened["id"], opened["type"], opened["node"]) == ("abc-1-opened", "session_opened", "n1")
    assert (closed["id"], closed["type"]) == ("abc-1-closed", "session_closed")
    assert (closed["user_id"], closed["code"], closed["reason"]) == ("ada", 4001, "node is draining")


async def test_too_many_changes_that_wait_drop_the_oldest_and_are_counted(
    hooks: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_events, "WAITING_MAX", 3)
    events = SessionEvents(hooks.calls, TellRules("abc", "n1", SESSION_EVENTS), SystemClock())
    for _ in range(5):
        events.opened({})
    assert (events.statistics(0).waiting, events.statistics(0).lost) == (3, 2)


async def test_a_process_that_is_found_dead_several_times_in_a_row_has_its_sessions_ended(hooks: Delivered) -> None:
    event: Event = {"id": "abc-1-opened", "type": "session_opened"}
    await hooks.calls.tell_sessions("abc", [SessionChange(True, False, 1, event)])
    alive: set[str] = set()

    async def list_alive() -> set[str]:
        return alive

    dead = DeadProcesses(hooks.calls, list_alive=list_alive, leads=lambda: True, is_told=True)
    for _ in range(LOOKS - 1):
        await dead.look()
    alive.add("abc")
    await dead.look()  # it was alive in between: the looks begin anew
    alive.clear()
    for _ in range(LOOKS - 1):
        await dead.look()
    assert await told(hooks) == []
    await dead.look()
    (closed,) = await told(hooks)
    assert (closed["id"], closed["reason"], dead.ended) == ("abc-1-closed", "the node was lost", 1)
