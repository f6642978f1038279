"""What clients do: stay connected, or connect and leave, join many rooms, and recover what they have missed."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.harness.connection import ConnectionRegistry, WireFormat
from tests.chaos.harness.stage import Stage
from tests.chaos.messages.listener import Listener
from tests.chaos.messages.record import Position, Record, Subscription
from tests.support.cluster import NodeProcess

PATIENCE = 14.0
"""Seconds for a `welcome`: a node may wait 10 s for a place of an agent."""
JOIN_PATIENCE = 30.0
COME_BACK_AFTER = (0.05, 0.5)


@dataclass(frozen=True, slots=True)
class VisitPattern:
    """`present`, `away`: seconds, from and to. `recovers`: the share of connections that ask for recovery."""

    present: tuple[float, float]
    away: tuple[float, float]
    recovers: float


STAYING = VisitPattern(present=(60.0, 240.0), away=(0.05, 0.5), recovers=1.0)
COMING_AND_GOING = VisitPattern(present=(0.3, 10.0), away=(0.0, 6.0), recovers=0.85)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all parts of a run share."""

    stage: Stage
    record: Record
    registry: ConnectionRegistry
    seed: int

    def chance(self, whose: str) -> random.Random:
        """A generator that depends on the seed and on this name alone."""
        return random.Random(f"{whose} {self.seed}")

    def now(self) -> float:
        return self.record.history.now()


class Client:
    """A client that reconnects whenever its connection ends, and remembers its position in each channel.

    With one channel it uses the channel's own endpoint; several are rooms that it joins over one socket. `node`: the
    only one to which it connects. `user`: its user id, if that is not its name.
    """

    def __init__(
        self,
        context: RunContext,
        name: str,
        channels: Sequence[str],
        *,
        pattern: VisitPattern = STAYING,
        wire: WireFormat = WireFormat.JSON,
        node: NodeProcess | None = None,
        user: str | None = None,
        small_buffers: bool = False,
    ) -> None:
        self.name = name
        self.channels = tuple(channels)
        self.listener: Listener | None = None
        """The latest connection."""
        self.positions: dict[str, Position] = {}
        self._context = context
        self._chance = context.chance(name)
        self._pattern = pattern
        self._wire = wire
        self._node = node
        self._user = user or name
        self._small_buffers = small_buffers
        self._staying = asyncio.Event()

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        """Current subscriptions, by channel."""
        return self.listener.subscriptions if self.listener is not None and self.listener.is_live else {}

    def may_use(self, channel: str) -> bool:
        """Whether a command in the channel is to succeed."""
        return self.listener is not None and self.listener.is_live and self.listener.may_use(channel)

    def stay_connected(self) -> None:
        """Connect soon, and stay connected from now on."""
        self._staying.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await self._visit()
            away = COME_BACK_AFTER if self._staying.is_set() else self._pattern.away
            await self._pause(self._chance.uniform(*away))

    async def _visit(self) -> None:
        context = self._context
        node = self._node or self._chance.choice(context.stage.nodes)
        home = self.channels[0] if len(self.channels) == 1 else None
        asked = None if home is None else self._asked(home)
        listener = self.listener = Listener(
            context.record,
            context.registry,
            node,
            client=self.name,
            user=self._user,
            home=home,
            asked=asked,
            wire=self._wire,
            small_buffers=self._small_buffers,
        )
        if await listener.wait_welcomed(PATIENCE):
            visiting = asyncio.create_task(self._visit_rooms(listener)) if home is None else None
            await self._remain(listener)
            if visiting is not None:
                visiting.cancel()
                await asyncio.gather(visiting, return_exceptions=True)
        if listener.end is None:
            if self._chance.random() < 0.5:
                listener.close()
            else:
                listener.disconnect(reset=self._chance.random() < 0.5)
        self._remember(listener)
        if listener.retry_after is not None:
            await self._pause(listener.retry_after)

    def _asked(self, channel: str) -> Position | None:
        return self.positions.get(channel) if self._chance.random() < self._pattern.recovers else None

    def _remember(self, listener: Listener) -> None:
        for channel, subscription in (*listener.left.items(), *listener.subscriptions.items()):
            if subscription.position is not None:
                self.positions[channel] = subscription.position

    async def _remain(self, listener: Listener) -> None:
        """Stay connected for a while, or until the connection ends once `stay_connected` was called."""
        staying = asyncio.ensure_future(self._staying.wait())
        present = self._chance.uniform(*self._pattern.present)
        await asyncio.wait((listener.closed, staying), timeout=present, return_when=asyncio.FIRST_COMPLETED)
        staying.cancel()
        if self._staying.is_set():
            await asyncio.wait((listener.closed,))

    async def _visit_rooms(self, listener: Listener) -> None:
        """Join all rooms; leave one now and then, and join it again."""
        while listener.is_live:
            for room in self.channels:
                if room not in listener.subscriptions:
                    await listener.join(room, self._asked(room), JOIN_PATIENCE)
            if self._staying.is_set() or self._node is not None:
                await self._pause(COME_BACK_AFTER[1])
                continue
            await self._pause(self._chance.uniform(*self._pattern.present))
            room = self._chance.choice(self.channels)
            if listener.may_use(room):
                await listener.leave(room, JOIN_PATIENCE)
                self._remember(listener)
            await self._pause(self._chance.uniform(*self._pattern.away))

    async def _pause(self, seconds: float) -> None:
        """Wait `seconds`, or less once `stay_connected` was called."""
        if self._staying.is_set():
            await asyncio.sleep(min(seconds, COME_BACK_AFTER[1]))
            return
        try:
            async with asyncio.timeout(seconds):
                await self._staying.wait()
        except TimeoutError:
            pass
