"""A tracker that compares its cursors with their heads, and barriers that the test ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.history.comparison import BARRIER_PERIOD
from tannoy.shared.names import RoomName

from tests.support.clock import turns
from tests.support.scripted_history import KEYSPACE, TrackerDriver

LOBBY = KEYSPACE.room(RoomName("lobby"))


@asynccontextmanager
async def comparing(node: TrackerDriver) -> AsyncGenerator[None]:
    """Run the comparison until it has read the heads once and waits for its barrier."""
    task = asyncio.create_task(node.tracker.comparison.run())
    await next_barrier()
    try:
        yield
    finally:
        assert not task.done(), "the comparison has stopped by itself"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_barrier() -> None:
    await asyncio.sleep(BARRIER_PERIOD)
    await turns()


def behind() -> TrackerDriver:
    """A node whose cursor is at 10 and whose head is at 12: the link has not brought 11 and 12."""
    node = TrackerDriver()
    node.history_redis.log_of(LOBBY).append(11, 12)
    node.follow(LOBBY, at=10)
    return node


async def end_barriers(node: TrackerDriver, succeeded: bool = True) -> None:
    for proof in node.proofs:
        if not proof.done():
            proof.set_result(succeeded)
    await turns()
