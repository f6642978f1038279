"""Reference counts over the link: first in subscribes, last out unsubscribes, later."""

import asyncio

import pytest
from tannoy.fanout.pubsub.subscriptions import ACKNOWLEDGE_TIMEOUT, LINGER, ChannelSubscriptions
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.scripted_redis import ScriptedLink

A, B = b"a", b"b"


def subscriber_and_link() -> tuple[ChannelSubscriptions, ScriptedLink]:
    link = ScriptedLink(manual_clock())
    link.acknowledge()
    subscriptions = ChannelSubscriptions(link)
    link.on_confirmed = subscriptions.confirmed
    return subscriptions, link


async def held(subscriptions: ChannelSubscriptions, link: ScriptedLink, channel: bytes) -> None:
    """One more holder, confirmed."""
    waiter = subscriptions.acquire(channel)
    if waiter is not None:
        link.acknowledge()
        await waiter


@on_manual_time
async def test_the_first_one_in_waits_for_redis() -> None:
    subscriptions, link = subscriber_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    await turns()
    assert not waiter.done()
    assert link.acknowledge() == [("SUBSCRIBE", A)]
    await waiter


@on_manual_time
async def test_whoever_comes_to_what_is_being_heard_does_not_wait() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    assert subscriptions.acquire(A) is None
    assert link.acknowledge() == []
    assert subscriptions.holders(A) == 2


@on_manual_time
async def test_all_who_come_before_the_acknowledgement_wait_for_the_same_one() -> None:
    subscriptions, link = subscriber_and_link()
    waiters = [subscriptions.acquire(A) for _ in range(3)]
    assert link.acknowledge() == [("SUBSCRIBE", A)]
    for waiter in waiters:
        assert waiter is not None
        await waiter


@on_manual_time
async def test_one_of_several_who_leaves_changes_nothing_for_redis() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    await held(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(2 * LINGER)
    assert link.acknowledge() == []
    assert subscriptions.acquire(A) is None


@on_manual_time
async def test_the_last_one_out_unsubscribes_after_lingering() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(LINGER * 0.9)
    assert link.acknowledge() == []
    await asyncio.sleep(LINGER * 0.2)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]
    assert link.subscribed == {b"test:echo"}


@on_manual_time
async def test_whoever_comes_back_while_it_lingers_costs_redis_nothing() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(LINGER / 2)
    assert subscriptions.acquire(A) is None
    await asyncio.sleep(2 * LINGER)
    assert link.acknowledge() == []


@on_manual_time
async def test_lingering_begins_anew_with_each_last_one_out() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    for _ in range(5):
        subscriptions.release(A)
        await asyncio.sleep(LINGER * 0.9)
        assert subscriptions.acquire(A) is None
    assert link.acknowledge() == []


@on_manual_time
async def test_whoever_comes_while_the_unsubscribe_is_unanswered_waits_for_its_own_subscribe() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(LINGER * 1.1)
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    assert link.acknowledge(1) == [("UNSUBSCRIBE", A)]
    assert not waiter.done()
    assert link.acknowledge() == [("SUBSCRIBE", A)]


@on_manual_time
async def test_a_subscription_that_redis_does_not_acknowledge_is_rolled_back() -> None:
    subscriptions, link = subscriber_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    before = manual_clock().monotonic()
    with pytest.raises(Unavailable):
        await waiter
    assert manual_clock().monotonic() - before == pytest.approx(ACKNOWLEDGE_TIMEOUT)
    assert subscriptions.holders(A) == 0
    await asyncio.sleep(LINGER * 1.1)
    assert A not in link.state.wanted
    assert subscriptions.statistics() == {"channels": 0, "waiting": 0, "rolled_back": 1}


@on_manual_time
async def test_a_roll_back_takes_back_one_holder_and_not_the_others() -> None:
    subscriptions, link = subscriber_and_link()
    early = subscriptions.acquire(A)
    await asyncio.sleep(ACKNOWLEDGE_TIMEOUT / 2)
    late = subscriptions.acquire(A)
    assert early is not None
    assert late is not None
    with pytest.raises(Unavailable):
        await early
    assert subscriptions.holders(A) == 1
    link.acknowledge()
    await late
    assert A in link.subscribed


@on_manual_time
async def test_an_acknowledgement_after_the_roll_back_leaves_no_holder() -> None:
    subscriptions, link = subscriber_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    with pytest.raises(Unavailable):
        await waiter
    link.acknowledge()
    assert subscriptions.holders(A) == 0
    await asyncio.sleep(LINGER * 1.1)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]


@on_manual_time
async def test_a_reconnect_confirms_those_who_were_waiting() -> None:
    subscriptions, link = subscriber_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    await turns()
    link.lose()
    link.connect()
    link.acknowledge()
    await waiter


@on_manual_time
async def test_during_a_reconnect_even_a_channel_with_holders_has_to_be_waited_for() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    link.lose()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    link.connect()
    link.acknowledge()
    await waiter


@on_manual_time
async def test_a_confirmation_of_a_channel_without_holders_is_harmless() -> None:
    subscriptions, _ = subscriber_and_link()
    subscriptions.confirmed([A, B])
    assert subscriptions.statistics()["channels"] == 0


@on_manual_time
async def test_channels_are_counted_apart() -> None:
    subscriptions, link = subscriber_and_link()
    await held(subscriptions, link, A)
    await held(subscriptions, link, B)
    subscriptions.release(A)
    await asyncio.sleep(LINGER * 1.1)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]
    assert (subscriptions.holders(A), subscriptions.holders(B)) == (0, 1)


@on_manual_time
async def test_whoever_gives_up_waiting_still_owes_its_release() -> None:
    # A connection that ends while it waits: its future is done later, and it releases then.
    subscriptions, link = subscriber_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    waiter.add_done_callback(lambda _: subscriptions.release(A))
    link.acknowledge()
    await asyncio.sleep(LINGER * 1.1)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]
