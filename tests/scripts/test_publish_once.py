"""`publish_once.lua` against a real Valkey, and against fakeredis."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from typing import Any

import fakeredis
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoScriptError
from tannoy.fanout.history.publisher import REMEMBER_KEY_SECONDS
from tannoy.fanout.scripts import PUBLISH_ONCE
from tannoy.shared.channels import Channel
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE

KEYSPACE = Keyspace("scripts")
END = b"end of test messages"
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["valkey", "fakeredis"])
async def redis(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Redis]:
    if request.param == "valkey":
        async with Valkey() as valkey:
            yield valkey.client
    else:
        client = fakeredis.FakeAsyncRedis()
        yield client
        await client.aclose()


@pytest.fixture
async def room(redis: Redis) -> Channel:
    """A room that no other test uses, on a server that knows the script."""
    await call(redis, "SCRIPT", "LOAD", PUBLISH_ONCE.source)
    return KEYSPACE.room(RoomName(f"room-{next(_numbers)}"))


async def call(redis: Redis, *words: object) -> Any:
    return await redis.execute_command(*words)  # type: ignore[no-untyped-call]


async def publish(redis: Redis, room: Channel, key: str, payload: bytes, *, seconds: int = 300) -> int:
    """As the publisher calls it."""
    words = PUBLISH_ONCE.call((KEYSPACE.idempotency(room, "ada", key),), (room.address, payload, seconds))
    published: int = await call(redis, *words)
    return published


class Listener:
    """A subscriber that returns every payload published so far; an END message marks the end."""

    def __init__(self, redis: Redis, room: Channel) -> None:
        self._redis = redis
        self._room = room
        self._pubsub: Any = redis.pubsub()  # pyright: ignore[reportUnknownMemberType]

    async def __aenter__(self) -> "Listener":
        await self._pubsub.subscribe(self._room.address)
        await self._next()  # the acknowledgement
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pubsub.aclose()

    async def _next(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            message: Any = None
            while message is None:
                message = await self._pubsub.get_message(timeout=PATIENCE)
        return message["data"]

    async def received(self) -> list[bytes]:
        await call(self._redis, "PUBLISH", self._room.address, END)
        payloads: list[bytes] = []
        while (payload := await self._next()) != END:
            payloads.append(payload)
        return payloads


async def test_digest_equals_the_one_of_the_server(redis: Redis) -> None:
    loaded = await call(redis, "SCRIPT", "LOAD", PUBLISH_ONCE.source)
    assert (loaded.decode() if isinstance(loaded, bytes) else loaded) == PUBLISH_ONCE.digest


async def test_call_of_a_script_that_is_not_loaded_raises_no_script(redis: Redis, room: Channel) -> None:
    await call(redis, "SCRIPT", "FLUSH")
    with pytest.raises(NoScriptError):
        await publish(redis, room, "k", b"hi")


async def test_payload_of_any_bytes_is_published_unchanged(redis: Redis, room: Channel) -> None:
    payload = bytes(range(256))
    async with Listener(redis, room) as listener:
        assert await publish(redis, room, "k", payload) == 1
        assert await listener.received() == [payload]


async def test_repeated_key_publishes_once(redis: Redis, room: Channel) -> None:
    async with Listener(redis, room) as listener:
        answers = [await publish(redis, room, "k", b"%d" % attempt) for attempt in range(5)]
        assert answers == [1, 0, 0, 0, 0]
        assert await listener.received() == [b"0"]


async def test_concurrent_calls_with_one_key_publish_once(redis: Redis, room: Channel) -> None:
    async with Listener(redis, room) as listener:
        answers = await asyncio.gather(*(publish(redis, room, "k", b"hi") for _ in range(20)))
        assert sorted(answers) == [0] * 19 + [1]
        assert await listener.received() == [b"hi"]


async def test_different_keys_publish_each(redis: Redis, room: Channel) -> None:
    async with Listener(redis, room) as listener:
        for key in ("a", "b", "A", "a ", "é", "}{"):
            assert await publish(redis, room, key, key.encode()) == 1
        assert len(await listener.received()) == 6


async def test_same_key_in_two_channels_publishes_both(redis: Redis, room: Channel) -> None:
    other = KEYSPACE.room(RoomName(f"{room.name}:other"))
    assert [await publish(redis, each, "k", b"hi") for each in (room, other)] == [1, 1]


async def test_key_is_remembered_for_the_given_seconds(redis: Redis, room: Channel) -> None:
    await publish(redis, room, "k", b"hi", seconds=REMEMBER_KEY_SECONDS)
    left = await call(redis, "TTL", KEYSPACE.idempotency(room, "ada", "k"))
    assert REMEMBER_KEY_SECONDS - PATIENCE <= left <= REMEMBER_KEY_SECONDS


async def test_repeated_key_does_not_extend_its_ttl(redis: Redis, room: Channel) -> None:
    await publish(redis, room, "k", b"hi", seconds=300)
    await publish(redis, room, "k", b"hi", seconds=3000)
    assert await call(redis, "TTL", KEYSPACE.idempotency(room, "ada", "k")) <= 300


async def test_deleted_key_publishes_again(redis: Redis, room: Channel) -> None:
    await publish(redis, room, "k", b"hi")
    await call(redis, "DEL", KEYSPACE.idempotency(room, "ada", "k"))
    assert await publish(redis, room, "k", b"hi") == 1
