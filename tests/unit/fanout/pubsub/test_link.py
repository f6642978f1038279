"""The link over connections that come and go: what it proves by its own echo, and to whom."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.pubsub.link import BACKOFF_CAP, Link
from tannoy.fanout.pubsub.link_state import PROOF

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.memory_redis import NOWHERE, MemoryRedis
from tests.support.scripted_redis import ECHO, RecordingListener

LOBBY = b"test:lobby"
LIVE_WITHIN = 2 * BACKOFF_CAP


class PubSubRedis(MemoryRedis):
    """Acknowledges subscriptions, and brings back what the link publishes; while it `delays`, only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.delays = False
        self.delayed: list[tuple[bytes, bytes]] = []

    def reply(self, command: list[bytes]) -> bytes:
        if command[0] == b"SUBSCRIBE":
            for channel in command[1:]:
                self.push(b"subscribe", channel, b"1")
            return b""
        if command[0] == b"PUBLISH":
            self.delayed.append((command[1], command[2]))
            if not self.delays:
                self.bring()
        return super().reply(command)

    def bring(self, count: int | None = None) -> None:
        """All that was delayed, or the first `count` of it."""
        now, self.delayed = self.delayed[:count], self.delayed[len(self.delayed[:count]) :]
        for channel, payload in now:
            self.push(b"message", channel, payload)

    @property
    def proofs(self) -> list[bytes]:
        """The nonces that were published to prove something."""
        return [nonce for _, nonce in self.said("PUBLISH") if nonce.startswith(PROOF)]


class Listening:
    def __init__(self) -> None:
        self.listener = RecordingListener()
        self.link = Link(
            NOWHERE,
            name="test",
            echo_channel=ECHO,
            clock=manual_clock(),
            listener=self.listener,
        )
        self.link.want(LOBBY)

    @property
    def heard(self) -> list[bytes]:
        return [payload for _, payload in self.listener.deliveries]

    def ask(self) -> "asyncio.Future[bool]":
        return self.link.proof(0)

    async def come_back(self) -> None:
        """Connected anew, and live."""
        async with asyncio.timeout(LIVE_WITHIN):
            await self.link.live.wait()


async def outcome(proof: "asyncio.Future[bool]") -> bool:
    async with asyncio.timeout(LIVE_WITHIN):
        return await proof


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> PubSubRedis:
    memory = PubSubRedis()
    monkeypatch.setattr("tannoy.fanout.pubsub.link.connect", memory.dial)
    return memory


@asynccontextmanager
async def listening() -> AsyncGenerator[Listening]:
    node = Listening()
    task = asyncio.create_task(node.link.run())
    await node.come_back()
    try:
        yield node
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await turns()


@on_manual_time
async def test_nothing_is_proven_before_the_nonce_has_come_back(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.delays = True
        proof = node.ask()
        await turns()
        assert not proof.done()
        redis.bring()
        assert await outcome(proof) is True


@on_manual_time
async def test_a_nonce_that_was_sent_before_proves_nothing(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.delays = True
        early = node.ask()
        await turns()
        late = node.ask()
        await turns()
        redis.bring(1)
        await turns()
        assert (early.done(), late.done()) == (True, False)
        redis.bring()
        assert await outcome(late) is True


@on_manual_time
async def test_the_echo_by_which_the_link_hears_itself_proves_nothing(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.delays = True
        await asyncio.sleep(0.6)  # a nonce of its own is out
        proof = node.ask()
        await turns()
        redis.delayed = [each for each in redis.delayed if each[1] not in redis.proofs]
        assert redis.delayed
        redis.bring()
        await turns()
        assert not proof.done()


@on_manual_time
async def test_what_was_published_before_has_come_by_then(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.delays = True
        redis.delayed.append((LOBBY, b"said before"))
        proof = node.ask()
        await turns()
        redis.bring()
        assert await outcome(proof) is True
        assert node.heard == [b"said before"]


@on_manual_time
async def test_all_who_ask_in_one_turn_share_a_nonce(redis: PubSubRedis) -> None:
    async with listening() as node:
        proofs = [node.ask() for _ in range(64)]
        assert await asyncio.gather(*proofs) == [True] * 64
        assert len(redis.proofs) == 1


@on_manual_time
async def test_whoever_does_not_wait_any_more_takes_it_from_nobody_else(redis: PubSubRedis) -> None:
    async with listening() as node:
        given_up, other = node.ask(), node.ask()
        given_up.cancel()
        assert await outcome(other) is True


@on_manual_time
async def test_a_connection_that_is_lost_proves_nothing(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.delays = True
        proof = node.ask()
        await turns()
        redis.break_connection()
        assert await outcome(proof) is False


@on_manual_time
async def test_whoever_asks_in_the_turn_of_the_loss_gets_no_proof(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.break_connection()
        proof = node.ask()
        redis.refuses_connections = True
        assert await outcome(proof) is False


@on_manual_time
async def test_without_a_connection_nothing_is_proven(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.refuses_connections = True
        redis.break_connection()
        await turns()
        assert await outcome(node.ask()) is False


@on_manual_time
async def test_a_nonce_of_the_connection_before_proves_nothing_on_the_next(redis: PubSubRedis) -> None:
    async with listening() as node:
        redis.delays = True
        lost = node.ask()
        await turns()
        old, redis.delayed = redis.delayed, []
        redis.delays = False
        redis.break_connection()
        assert await outcome(lost) is False
        await node.come_back()
        redis.delays = True
        proof = node.ask()
        await turns()
        redis.delayed = old
        redis.bring()
        await turns()
        assert not proof.done()


@on_manual_time
async def test_each_time_the_link_has_come_back_it_is_told(redis: PubSubRedis) -> None:
    async with listening() as node:
        assert node.listener.times_live == 1
        redis.break_connection()
        await turns()
        assert node.listener.times_live == 1
        await node.come_back()
        assert node.listener.times_live == 2
