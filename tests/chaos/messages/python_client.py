"""A client of the product, `tannoy.client`, among those of the checker: what it reads, it records."""

from tannoy.client import Channel, Gap, SlowReader, connect
from tannoy.client.errors import ClientError
from tannoy.shared.publication import Position as ProductPosition

from tests.chaos.messages.client import RunContext
from tests.chaos.messages.listener import AGENT, ROOM
from tests.chaos.messages.record import Position, ReadGap, ReadMessage, Reads, content_of

CONNECT_WITHIN = 3600.0
"""Seconds for the first connection and the first join: faults decide how long they take."""
SMALL_QUEUE = 20
"""Messages; half of the clients have no more, and read from the history what does not fit."""


class PythonClient:
    """It reads one channel until it is cancelled, on one node, over whatever happens to that."""

    def __init__(self, context: RunContext, name: str, channel: str, number: int) -> None:
        self.name = name
        self.channel = channel
        self._context = context
        self._number = number
        self._reading: Channel | None = None

    @property
    def position(self) -> Position | None:
        """Up to where it has read."""
        return None if self._reading is None else _own(self._reading.position)

    async def run(self) -> None:
        """Runs until it is cancelled. If the client gives up, that is recorded as unexpected."""
        context = self._context
        node = context.stage.nodes[self._number % len(context.stage.nodes)]
        is_small = self._number % 2 == 1
        try:
            async with connect(
                node.ws_url,
                user_id=self.name,
                encoding="msgpack" if self._number % 4 > 1 else "json",
                queue_size=SMALL_QUEUE if is_small else 1000,
                slow_reader=SlowReader.RECOVER if is_small else SlowReader.PAUSE,
                connect_timeout=CONNECT_WITHIN,
                timeout=CONNECT_WITHIN,
            ) as client:
                if self.channel.startswith(ROOM):
                    reading: Channel = await client.join(self.channel.removeprefix(ROOM))
                else:
                    reading = await client.agent(self.channel.removeprefix(AGENT))
                self._reading = reading
                await self._read(reading)
        except ClientError as error:
            context.record.add_unexpected(context.now(), self.name, f"it gave up: {error}")

    async def _read(self, reading: Channel) -> None:
        context = self._context
        reads = Reads(self.name, self.channel, _own(reading.position))
        context.record.reads.append(reads)
        async for item in reading.items():
            at = context.now()
            if isinstance(item, Gap):
                reads.items.append(ReadGap(at, _own(item.after), _own(item.until)))
            else:
                content = item.content
                number: int = content["n"] if content == content_of(content["n"], content["size"]) else -1
                reads.items.append(ReadMessage(at, _own(reading.position), item.offset, number, item.timestamp))
                context.record.deliveries += 1
            reads.position = _own(reading.position)


def _own(position: ProductPosition | None) -> Position | None:
    return None if position is None else Position(*position)
