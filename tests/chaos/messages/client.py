"""What clients do: stay and listen, come and go, be in many rooms at once; and ask for what they have missed."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.harness.connection import Switchboard, WireFormat
from tests.chaos.harness.stage import Stage
from tests.chaos.messages.listener import Listener
from tests.chaos.messages.record import Place, Record, Stay
from tests.support.cluster import NodeProcess

PATIENCE = 14.0
"""Seconds for a welcome: a node may wait 10 s for a place of an agent."""
JOIN_PATIENCE = 30.0
COME_BACK_AFTER = (0.05, 0.5)


@dataclass(frozen=True, slots=True)
class Habit:
    """Seconds from and to. `recovers`: the share of connections on which it asks for what it has missed."""

    stays: tuple[float, float]
    away: tuple[float, float]
    recovers: float


STAYING = Habit(stays=(60.0, 240.0), away=(0.05, 0.5), recovers=1.0)
COMING_AND_GOING = Habit(stays=(0.3, 10.0), away=(0.0, 6.0), recovers=0.85)


@dataclass(frozen=True, slots=True)
class World:
    """What all who take part in a run have in common."""

    stage: Stage
    record: Record
    switchboard: Switchboard
    seed: int

    def chance(self, whose: str) -> random.Random:
        return random.Random(f"{whose} {self.seed}")

    def now(self) -> float:
        return self.record.history.now()


class Client:
    """Somebody who comes back whenever the connection ends, until the run does. Knows up to where it has heard.

    One channel is its endpoint's; several are rooms, which it joins over one socket. `node`: it always comes to this
    one. `user`: who it says it is, if not its name.
    """

    def __init__(
        self,
        world: World,
        name: str,
        channels: Sequence[str],
        *,
        habit: Habit = STAYING,
        wire: WireFormat = WireFormat.JSON,
        node: NodeProcess | None = None,
        user: str | None = None,
        small: bool = False,
    ) -> None:
        self.name = name
        self.channels = tuple(channels)
        self.listener: Listener | None = None
        """The last one."""
        self.places: dict[str, Place] = {}
        self._world = world
        self._chance = world.chance(name)
        self._habit = habit
        self._wire = wire
        self._node = node
        self._user = user or name
        self._small = small
        self._settling = asyncio.Event()

    @property
    def stays(self) -> dict[str, Stay]:
        """Those that last, by channel."""
        return self.listener.stays if self.listener is not None and self.listener.is_live else {}

    def settle(self) -> None:
        """Come back from wherever it is, and stay."""
        self._settling.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._visit()
            away = COME_BACK_AFTER if self._settling.is_set() else self._habit.away
            await self._pause(self._chance.uniform(*away))

    async def _visit(self) -> None:
        world = self._world
        node = self._node or self._chance.choice(world.stage.nodes)
        home = self.channels[0] if len(self.channels) == 1 else None
        asked = None if home is None else self._asked(home)
        listener = self.listener = Listener(
            world.record,
            world.switchboard,
            node,
            client=self.name,
            user=self._user,
            home=home,
            asked=asked,
            wire=self._wire,
            small=self._small,
        )
        if await listener.settle(PATIENCE):
            roaming = asyncio.create_task(self._roam(listener)) if home is None else None
            await self._be_there(listener)
            if roaming is not None:
                roaming.cancel()
                await asyncio.gather(roaming, return_exceptions=True)
        if listener.end is None:
            if self._chance.random() < 0.5:
                listener.leave()
            else:
                listener.vanish(reset=self._chance.random() < 0.5)
        self._remember(listener)
        if listener.retry_after is not None:
            await self._pause(listener.retry_after)

    def _asked(self, channel: str) -> Place | None:
        return self.places.get(channel) if self._chance.random() < self._habit.recovers else None

    def _remember(self, listener: Listener) -> None:
        for channel, stay in (*listener.left.items(), *listener.stays.items()):
            if stay.place is not None:
                self.places[channel] = stay.place

    async def _be_there(self, listener: Listener) -> None:
        """For a while; when the run settles, for good."""
        settling = asyncio.ensure_future(self._settling.wait())
        stays = self._chance.uniform(*self._habit.stays)
        await asyncio.wait((listener.over, settling), timeout=stays, return_when=asyncio.FIRST_COMPLETED)
        settling.cancel()
        if self._settling.is_set():
            await asyncio.wait((listener.over,))

    async def _roam(self, listener: Listener) -> None:
        """Into all rooms; now and then out of one and in again."""
        while listener.is_live:
            for room in self.channels:
                if room not in listener.stays:
                    await listener.join(room, self._asked(room), JOIN_PATIENCE)
            if self._settling.is_set() or self._node is not None:
                await self._pause(COME_BACK_AFTER[1])
                continue
            await self._pause(self._chance.uniform(*self._habit.stays))
            room = self._chance.choice(self.channels)
            if room in listener.stays:
                await listener.exit(room, JOIN_PATIENCE)
                self._remember(listener)
            await self._pause(self._chance.uniform(*self._habit.away))

    async def _pause(self, seconds: float) -> None:
        """At most so long."""
        if self._settling.is_set():
            await asyncio.sleep(min(seconds, COME_BACK_AFTER[1]))
            return
        try:
            async with asyncio.timeout(seconds):
                await self._settling.wait()
        except TimeoutError:
            pass
