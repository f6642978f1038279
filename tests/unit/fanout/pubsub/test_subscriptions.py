"""Reference counts over the link: the first holder subscribes, the last one unsubscribes a little later."""

import asyncio

import pytest
from tannoy.fanout.pubsub.subscriptions import (
    ACKNOWLEDGE_TIMEOUT,
    LINGER,
    ChannelSubscriptions,
    ChannelSubscriptionsStatistics,
)
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.scripted_redis import ScriptedLink

A, B = b"a", b"b"


def subscriptions_and_link(
    *, acknowledge_timeout: float = ACKNOWLEDGE_TIMEOUT
) -> tuple[ChannelSubscriptions, ScriptedLink]:
    link = ScriptedLink(manual_clock())
    link.acknowledge()
    subscriptions = ChannelSubscriptions(link, acknowledge_timeout=acknowledge_timeout)
    link.on_confirmed = subscriptions.confirm
    return subscriptions, link


async def acquire(subscriptions: ChannelSubscriptions, link: ScriptedLink, channel: bytes) -> None:
    """Add a holder, acknowledged by Redis."""
    waiter = subscriptions.acquire(channel)
    if waiter is not None:
        link.acknowledge()
        await waiter


@on_manual_time
async def test_the_first_holder_waits_for_the_acknowledgement() -> None:
    subscriptions, link = subscriptions_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    await turns()
    assert not waiter.done()
    assert link.acknowledge() == [("SUBSCRIBE", A)]
    await waiter


@on_manual_time
async def test_a_holder_of_a_subscribed_channel_does_not_wait() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    assert subscriptions.acquire(A) is None
    assert link.acknowledge() == []
    assert subscriptions.holders(A) == 2


@on_manual_time
async def test_all_holders_before_the_acknowledgement_wait_for_the_same_one() -> None:
    subscriptions, link = subscriptions_and_link()
    waiters = [subscriptions.acquire(A) for _ in range(3)]
    assert link.acknowledge() == [("SUBSCRIBE", A)]
    for waiter in waiters:
        assert waiter is not None
        await waiter


@on_manual_time
async def test_a_release_with_holders_left_sends_nothing() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    await acquire(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(2 * LINGER)
    assert link.acknowledge() == []
    assert subscriptions.acquire(A) is None


@on_manual_time
async def test_the_last_release_unsubscribes_after_lingering() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(LINGER * 0.9)
    assert link.acknowledge() == []
    await asyncio.sleep(LINGER * 0.2)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]
    assert link.subscribed == {b"test:echo"}


@on_manual_time
async def test_a_new_holder_of_a_lingering_channel_sends_nothing() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(LINGER / 2)
    assert subscriptions.acquire(A) is None
    await asyncio.sleep(2 * LINGER)
    assert link.acknowledge() == []


@on_manual_time
async def test_lingering_begins_again_with_each_last_release() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    for _ in range(5):
        subscriptions.release(A)
        await asyncio.sleep(LINGER * 0.9)
        assert subscriptions.acquire(A) is None
    assert link.acknowledge() == []


@on_manual_time
async def test_a_holder_behind_an_unanswered_unsubscribe_waits_for_its_own_subscribe() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    subscriptions.release(A)
    await asyncio.sleep(LINGER * 1.1)
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    assert link.acknowledge(1) == [("UNSUBSCRIBE", A)]
    assert not waiter.done()
    assert link.acknowledge() == [("SUBSCRIBE", A)]


@on_manual_time
async def test_a_subscription_that_redis_does_not_acknowledge_is_rolled_back() -> None:
    subscriptions, link = subscriptions_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    before = manual_clock().monotonic()
    with pytest.raises(Unavailable):
        await waiter
    assert manual_clock().monotonic() - before == pytest.approx(ACKNOWLEDGE_TIMEOUT)
    assert subscriptions.holders(A) == 0
    await asyncio.sleep(LINGER * 1.1)
    assert A not in link.state.wanted
    assert subscriptions.statistics() == ChannelSubscriptionsStatistics(channels=0, waiting=0, rolled_back=1)


@on_manual_time
async def test_a_subscription_may_be_given_longer_and_a_channel_without_holders_still_goes_after_its_linger() -> None:
    subscriptions, link = subscriptions_and_link(acknowledge_timeout=60.0)
    await acquire(subscriptions, link, A)
    late = subscriptions.acquire(B)
    assert late is not None
    subscriptions.release(A)
    await asyncio.sleep(LINGER * 1.1)
    assert A not in link.state.wanted
    await asyncio.sleep(60.0 - LINGER * 1.2)
    assert not late.done()
    with pytest.raises(Unavailable):
        await late


@on_manual_time
async def test_a_roll_back_removes_one_holder_and_not_the_others() -> None:
    subscriptions, link = subscriptions_and_link()
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
    subscriptions, link = subscriptions_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    with pytest.raises(Unavailable):
        await waiter
    link.acknowledge()
    assert subscriptions.holders(A) == 0
    await asyncio.sleep(LINGER * 1.1)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]


@on_manual_time
async def test_a_reconnect_completes_the_acquires_that_wait() -> None:
    subscriptions, link = subscriptions_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    await turns()
    link.disconnect()
    link.connect()
    link.acknowledge()
    await waiter


@on_manual_time
async def test_during_a_reconnect_a_holder_of_a_known_channel_waits_too() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    link.disconnect()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    link.connect()
    link.acknowledge()
    await waiter


@on_manual_time
async def test_an_acknowledgement_of_a_channel_without_holders_is_ignored() -> None:
    subscriptions, _ = subscriptions_and_link()
    subscriptions.confirm([A, B])
    assert subscriptions.statistics().channels == 0


@on_manual_time
async def test_each_channel_has_a_count_of_its_own() -> None:
    subscriptions, link = subscriptions_and_link()
    await acquire(subscriptions, link, A)
    await acquire(subscriptions, link, B)
    subscriptions.release(A)
    await asyncio.sleep(LINGER * 1.1)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]
    assert (subscriptions.holders(A), subscriptions.holders(B)) == (0, 1)


@on_manual_time
async def test_a_cancelled_acquire_keeps_its_holder_until_it_is_released() -> None:
    # A connection that ends while it waits: its future is done later, and it releases then.
    subscriptions, link = subscriptions_and_link()
    waiter = subscriptions.acquire(A)
    assert waiter is not None
    waiter.add_done_callback(lambda _: subscriptions.release(A))
    link.acknowledge()
    await asyncio.sleep(LINGER * 1.1)
    assert link.acknowledge() == [("UNSUBSCRIBE", A)]
