"""The link over connections that are lost and replaced: its barriers, and when it is live."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tannoy.fanout.pubsub.link import BACKOFF_CAP, Link
from tannoy.fanout.pubsub.link_state import ECHO_PERIOD

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_redis import NOWHERE, MemoryRedis
from tests.support.scripted_redis import ECHO, RecordingListener

LOBBY = b"test:lobby"
LIVE_WITHIN = 2 * BACKOFF_CAP


class PubSubRedis(MemoryRedis):
    """Acknowledges subscriptions and sends back what the link publishes; while it `delays`, only on `bring`."""

    def __init__(self) -> None:
        super().__init__()
        self.delays = False
        self.delayed: list[tuple[bytes, bytes]] = []
        self.barriers: list[bytes] = []
        """The nonces of barriers that were published, and their answers."""
        self.answers: list[asyncio.Future[Any]] = []
        self.leaves_unconfirmed = False
        self.is_another_server = False
        """What is published over the connection by which heads are read does not come over the link."""

    def reply(self, command: list[bytes]) -> bytes:
        if command[0] == b"SUBSCRIBE":
            for channel in command[1:]:
                self.push(b"subscribe", channel, b"1")
            return b""
        if command[0] == b"PUBLISH":
            self._publish(command[1], command[2])
        return super().reply(command)

    def _publish(self, channel: bytes, payload: bytes) -> None:
        self.delayed.append((channel, payload))
        if not self.delays:
            self.bring()

    def publish_barrier(self, channel: bytes, nonce: bytes) -> "asyncio.Future[Any]":
        """Published over the connection by which heads are read; confirmed at once, or when the test does so."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.barriers.append(nonce)
        self.answers.append(answer)
        if not self.leaves_unconfirmed:
            answer.set_result(1)
        if not self.is_another_server:
            self._publish(channel, nonce)
        return answer

    def bring(self, count: int | None = None) -> None:
        """Send all that was delayed, or the first `count` messages of it."""
        now, self.delayed = self.delayed[:count], self.delayed[len(self.delayed[:count]) :]
        for channel, payload in now:
            self.push(b"message", channel, payload)


class ConnectedLink:
    def __init__(self, redis: PubSubRedis) -> None:
        self.listener = RecordingListener()
        self.link = Link(
            NOWHERE,
            name="test",
            echo_channel=ECHO,
            clock=manual_clock(),
            listener=self.listener,
            publish_barrier=redis.publish_barrier,
        )
        self.link.subscribe(LOBBY)

    @property
    def delivered(self) -> list[bytes]:
        return [payload for _, payload in self.listener.deliveries]

    def send_barrier(self) -> "asyncio.Future[bool]":
        return self.link.send_barrier(0)

    async def reconnect(self) -> None:
        """Until the link is connected and live."""
        async with asyncio.timeout(LIVE_WITHIN):
            await self.link.live.wait()


async def outcome(barrier: "asyncio.Future[bool]") -> bool:
    async with asyncio.timeout(LIVE_WITHIN):
        return await barrier


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> PubSubRedis:
    memory = PubSubRedis()
    monkeypatch.setattr("tannoy.fanout.pubsub.link.connect", memory.connect)
    return memory


@asynccontextmanager
async def listening(redis: PubSubRedis) -> AsyncGenerator[ConnectedLink]:
    node = ConnectedLink(redis)
    task = asyncio.create_task(node.link.run())
    await node.reconnect()
    try:
        yield node
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await turns()


@on_manual_time
async def test_a_barrier_waits_until_its_nonce_has_come_back(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.delays = True
        barrier = node.send_barrier()
        await turns()
        assert not barrier.done()
        redis.bring()
        assert await outcome(barrier) is True


@on_manual_time
async def test_a_barrier_does_not_end_with_an_earlier_nonce(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.delays = True
        early = node.send_barrier()
        await turns()
        late = node.send_barrier()
        await turns()
        redis.bring(1)
        await turns()
        assert (early.done(), late.done()) == (True, False)
        redis.bring()
        assert await outcome(late) is True


@on_manual_time
async def test_a_barrier_does_not_end_with_the_echo_of_the_link(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.delays = True
        await asyncio.sleep(0.6)  # a nonce of its own is out
        barrier = node.send_barrier()
        await turns()
        redis.delayed = [each for each in redis.delayed if each[1] not in redis.barriers]
        assert redis.delayed
        redis.bring()
        await turns()
        assert not barrier.done()


@on_manual_time
async def test_a_message_published_before_a_barrier_is_delivered_before_it_ends(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.delays = True
        redis.delayed.append((LOBBY, b"published before"))
        barrier = node.send_barrier()
        await turns()
        redis.bring()
        assert await outcome(barrier) is True
        assert node.delivered == [b"published before"]


@on_manual_time
async def test_barriers_of_one_loop_turn_share_a_nonce(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        barriers = [node.send_barrier() for _ in range(64)]
        assert await asyncio.gather(*barriers) == [True] * 64
        assert len(redis.barriers) == 1


@on_manual_time
async def test_a_cancelled_barrier_leaves_the_others_of_its_turn(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        given_up, other = node.send_barrier(), node.send_barrier()
        given_up.cancel()
        assert await outcome(other) is True


@on_manual_time
async def test_a_barrier_fails_when_its_connection_is_lost(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.delays = True
        barrier = node.send_barrier()
        await turns()
        redis.break_connection()
        assert await outcome(barrier) is False


@on_manual_time
async def test_a_barrier_in_the_turn_of_the_loss_fails(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.break_connection()
        barrier = node.send_barrier()
        redis.refuses_connections = True
        assert await outcome(barrier) is False


@on_manual_time
async def test_a_barrier_without_a_connection_fails(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.refuses_connections = True
        redis.break_connection()
        await turns()
        assert await outcome(node.send_barrier()) is False


@on_manual_time
async def test_a_barrier_fails_when_redis_does_not_confirm_its_nonce(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.is_another_server = redis.leaves_unconfirmed = True
        barrier = node.send_barrier()
        await asyncio.sleep(4 * ECHO_PERIOD)
        assert not barrier.done()
        redis.answers[-1].set_exception(ConnectionResetError())
        assert await outcome(barrier) is False


@on_manual_time
async def test_a_barrier_fails_when_heads_are_read_on_another_server(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.is_another_server = True
        barrier = node.send_barrier()
        await asyncio.sleep(2.5 * ECHO_PERIOD)
        assert barrier.done()
        assert await outcome(barrier) is False


@on_manual_time
async def test_an_echo_that_was_sent_before_a_barrier_does_not_end_it(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.delays = True
        await asyncio.sleep(1.2 * ECHO_PERIOD)  # a nonce of its own is out
        redis.is_another_server = True
        barrier = node.send_barrier()
        await turns()
        redis.bring()
        await turns()
        assert not barrier.done()


@on_manual_time
async def test_a_barrier_before_the_echo_channel_is_subscribed_fails(redis: PubSubRedis) -> None:
    node = ConnectedLink(redis)
    assert await outcome(node.send_barrier()) is False
    assert redis.barriers == []


@on_manual_time
async def test_a_nonce_of_an_earlier_connection_does_not_end_a_barrier(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        redis.delays = True
        lost = node.send_barrier()
        await turns()
        old, redis.delayed = redis.delayed, []
        redis.delays = False
        redis.break_connection()
        assert await outcome(lost) is False
        await node.reconnect()
        redis.delays = True
        barrier = node.send_barrier()
        await turns()
        redis.delayed = old
        redis.bring()
        await turns()
        assert not barrier.done()


@on_manual_time
async def test_on_live_is_called_after_each_reconnect(redis: PubSubRedis) -> None:
    async with listening(redis) as node:
        assert node.listener.times_live == 1
        redis.break_connection()
        await turns()
        assert node.listener.times_live == 1
        await node.reconnect()
        assert node.listener.times_live == 2
