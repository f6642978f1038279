"""What does a publish cost a back end? `python -m bench.sdk`

CPU time of the publishing process for each message, with history: of `AsyncPublisher`, and of redis-py's asynchronous
client, which runs the script that gives a message its offset, or what one writes without it (XADD and PUBLISH), one by
one. All share one Valkey in turns, for several rounds, and the lowest of each counts: whatever else the machine does
only adds to it.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import orjson
from redis.asyncio import Redis
from tannoy import AsyncPublisher, MessageFields
from tannoy.fanout.scripts import PUBLISH
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from .live import ValkeyProcess

MESSAGES = 5_000
ROUNDS = 5
AT_ONCE = 50
CONTENT = {"text": "x" * 64}
_numbers = itertools.count()


async def _cpu_each(publish: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of CPU for each of MESSAGES messages, which `publish` publishes."""
    started = time.process_time()
    await publish()
    return (time.process_time() - started) / MESSAGES * 1e6


def _ours(publisher: AsyncPublisher) -> dict[str, Callable[[], Awaitable[object]]]:
    messages: list[MessageFields] = [{"room": "lobby", "content": CONTENT} for _ in range(MESSAGES)]

    async def at_once() -> None:
        for _ in range(MESSAGES // AT_ONCE):
            await asyncio.gather(*(publisher.to_room("lobby", CONTENT) for _ in range(AT_ONCE)))

    async def one_by_one() -> None:
        for _ in range(MESSAGES):
            await publisher.to_room("lobby", CONTENT)

    return {
        "AsyncPublisher.many": lambda: publisher.many(messages),
        f"AsyncPublisher.to_room, {AT_ONCE} calls at once": at_once,
        "AsyncPublisher.to_room, one by one": one_by_one,
    }


def _redis_py(redis: "Redis") -> dict[str, Callable[[], Awaitable[object]]]:
    keyspace = Keyspace("bench")
    room = keyspace.room(RoomName("lobby"))

    async def by_script() -> None:
        publish = redis.register_script(PUBLISH.source)
        for _ in range(MESSAGES):
            keys = (*keyspace.history(room), keyspace.idempotency(room, "", str(next(_numbers))))
            await publish(keys=keys, args=(room.address, orjson.dumps(CONTENT), 100, 300, 3600, 5500, 10))

    async def by_commands() -> None:
        for _ in range(MESSAGES):
            encoded = orjson.dumps(CONTENT)
            await redis.xadd("bench:log", {"m": encoded}, maxlen=100, approximate=False)
            await redis.publish("bench:lobby", encoded)  # pyright: ignore[reportUnknownMemberType]

    return {"redis-py, the same script one by one": by_script, "redis-py, XADD and PUBLISH one by one": by_commands}


async def measure(rounds: int) -> dict[str, float]:
    """The lowest CPU time of each, in microseconds for each message."""
    lowest: dict[str, float] = {}
    async with ValkeyProcess() as valkey, AsyncPublisher(valkey.url) as publisher:
        redis = Redis(port=valkey.port, protocol=3)
        for _ in range(rounds):
            for name, publish in (_ours(publisher) | _redis_py(redis)).items():
                lowest[name] = min(lowest.get(name, float("inf")), await _cpu_each(publish))
        await redis.aclose()
    return lowest


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU of the publishing process for each message, with history.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    figures = asyncio.run(measure(parser.parse_args().rounds))
    reference = figures["redis-py, the same script one by one"]
    for name, microseconds in figures.items():
        print(f"{name:45} {microseconds:7.1f} µs   {reference / microseconds:5.2f} times less")


if __name__ == "__main__":
    main()
