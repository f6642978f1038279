"""After the faults: wait until every node and every listener has the same position of each channel. No verdict here."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from tests.chaos.harness.waiting import becomes_true
from tests.chaos.messages.client import RunContext
from tests.chaos.messages.reader import READ_MAX, Reader
from tests.chaos.messages.record import Head, Position, Window
from tests.support.cluster import NodeProcess

CurrentPositions = Callable[[], Iterable[tuple[str, Position | None]]]
"""The position of each listener in each of its channels; None: it is not subscribed."""


async def audit_positions(
    context: RunContext, reader: Reader, channels: Sequence[str], positions: CurrentPositions, within: float
) -> None:
    """Wait at most `within` seconds; record the last heads, and read the whole history from every node."""
    pairs = [(node, channel) for channel in channels for node in context.stage.nodes]

    async def head(node: NodeProcess, channel: str) -> Head:
        page = await reader.read_from(node, channel, Window(1))
        return Head(context.now(), channel, node.name, None if page is None else page.head)

    async def they_do() -> bool:
        heads = context.record.heads = list(await asyncio.gather(*(head(*pair) for pair in pairs)))
        known = {each.channel: each.position for each in heads}
        everywhere = (*((each.channel, each.position) for each in heads), *positions())
        return all(position is not None and position == known[channel] for channel, position in everywhere)

    await becomes_true(they_do, within)
    await asyncio.gather(*(reader.read_from(*pair, Window(READ_MAX)) for pair in pairs))
