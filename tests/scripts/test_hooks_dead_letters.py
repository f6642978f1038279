"""Events that the target of the HTTP hooks did not take, on a real Valkey: listed, sent again, and deleted."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.pubsub.envelopes import PLAIN
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.webhooks.calls import LISTED_AT_ONCE, LISTED_MAX_BYTES, HookCalls
from tannoy.fanout.webhooks.events import Event, EventReader

from tests.support.history_room import HistoryRoom
from tests.support.valkey import Valkey

ALL_BYTES = 1_000_000


@pytest.fixture
async def calls(valkey: Valkey, pipeline: Pipeline) -> AsyncGenerator[HookCalls]:
    async with HistoryRoom.open(valkey, pipeline) as room:
        yield HookCalls(pipeline, room.keyspace, EventReader(room.keyspace, PLAIN), backlog=1000)


async def test_dead_letters_are_listed_in_pages_in_the_order_in_which_they_died(calls: HookCalls) -> None:
    await calls.bury([{"id": "a"}, {"id": "b"}, {"id": "c"}], "the answer is 422")
    first = await calls.list_dead(2, None)
    rest = await calls.list_dead(2, first[-1].id)
    assert [letter.event["id"] for letter in (*first, *rest)] == ["a", "b", "c"]
    assert first[0].reason == "the answer is 422"
    assert await calls.count_dead() == (3, 0)


async def test_a_list_of_large_dead_letters_ends_early_and_goes_on_behind_its_last_one(calls: HookCalls) -> None:
    half = "x" * (LISTED_MAX_BYTES // 2)
    await calls.bury([{"id": f"{number}", "content": half} for number in range(40)], "late")
    pages = [await calls.list_dead(1000, None)]
    while pages[-1]:
        pages.append(await calls.list_dead(1000, pages[-1][-1].id))
    assert [len(page) for page in pages] == [LISTED_AT_ONCE, LISTED_AT_ONCE, 8, 0]
    assert [letter.event["id"] for page in pages for letter in page] == [f"{number}" for number in range(40)]


async def test_a_dead_letter_that_is_sent_again_waits_as_the_event_that_it_was_and_once(calls: HookCalls) -> None:
    event: Event = {"id": "a", "type": "user_left", "room": "lobby"}
    await calls.bury([event, {"id": "b", "type": "user_left"}], "late")
    first, second = await calls.list_dead(10, None)
    assert await calls.resend([first.id, "1-1"]) == 1
    assert await calls.resend([first.id]) == 0
    assert [queued.event for queued in await calls.read(0, 10, ALL_BYTES)] == [event]
    assert [letter.id for letter in await calls.list_dead(10, None)] == [second.id]


async def test_many_dead_letters_are_sent_again_in_parts_and_in_order(calls: HookCalls) -> None:
    events: list[Event] = [{"id": f"{number}", "type": "user_left"} for number in range(250)]
    await calls.bury(events, "late")
    letters = await calls.list_dead(250, None)
    assert await calls.resend([letter.id for letter in letters]) == 250
    assert calls.pipeline.statistics().script_calls["hooks_resend"] == 3
    assert [queued.event for queued in await calls.read(0, 300, ALL_BYTES)] == events


async def test_a_dead_letter_that_is_deleted_is_gone(calls: HookCalls) -> None:
    await calls.bury([{"id": "a"}], "late")
    (letter,) = await calls.list_dead(10, None)
    assert await calls.delete_dead([letter.id]) == 1
    assert await calls.count_dead() == (0, 0)
