"""After the faults: wait until every node and every listener knows the same of each channel. Nothing is judged here."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from tests.chaos.harness.waiting import holds
from tests.chaos.messages.client import World
from tests.chaos.messages.reader import READ_MAX, Reader
from tests.chaos.messages.record import Head, Place, Window
from tests.support.cluster import NodeProcess

Standing = Callable[[], Iterable[tuple[str, Place | None]]]
"""For each listener and channel where it stands; None: it is not there."""


async def all_know_the_same(
    world: World, reader: Reader, channels: Sequence[str], standing: Standing, within: float
) -> None:
    """For at most `within` seconds. The heads of the last look are written down, and all of history is read."""
    pairs = [(node, channel) for channel in channels for node in world.stage.nodes]

    async def head(node: NodeProcess, channel: str) -> Head:
        page = await reader.read_from(node, channel, Window(1))
        return Head(world.now(), channel, node.name, None if page is None else page.head)

    async def they_do() -> bool:
        heads = world.record.heads = list(await asyncio.gather(*(head(*pair) for pair in pairs)))
        known = {each.channel: each.place for each in heads}
        places = (*((each.channel, each.place) for each in heads), *standing())
        return all(place is not None and place == known[channel] for channel, place in places)

    await holds(they_do, within)
    await asyncio.gather(*(reader.read_from(*pair, Window(READ_MAX)) for pair in pairs))
