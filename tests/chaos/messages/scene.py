"""What a scenario of messages does, in its own words."""

from collections.abc import Callable, Coroutine
from typing import Any

from tests.chaos.harness.connection import WireFormat
from tests.chaos.harness.proxy import Part
from tests.chaos.messages.audit import all_know_the_same
from tests.chaos.messages.author import Author
from tests.chaos.messages.client import World
from tests.chaos.messages.listener import ROOM, Listener
from tests.chaos.messages.reader import Reader
from tests.chaos.messages.record import Place
from tests.support.waiting import eventually

PATIENCE = 12.0
SOON = 5.0
STABLE_WITHIN = 6.0
ROOM_NAME = ROOM + "room"


class Scene:
    """Two nodes, n1 and n2, one room, and who listens there. What is said is handed in to n2."""

    def __init__(self, world: World) -> None:
        self.stage = world.stage
        self.n1, self.n2 = world.stage.nodes
        self.author = Author(world)
        self._world = world
        self._reader = Reader(world, (ROOM_NAME,))
        self._listeners: list[Listener] = []

    def knock(
        self,
        node: str,
        asked: Place | None = None,
        *,
        wire: WireFormat = WireFormat.JSON,
        small: bool = False,
    ) -> Listener:
        number = len(self._listeners) + 1
        listener = Listener(
            self._world.record,
            self._world.switchboard,
            {"n1": self.n1, "n2": self.n2}[node],
            client=f"listener.{number}",
            user=f"listener.{number}",
            home=ROOM_NAME,
            asked=asked,
            wire=wire,
            small=small,
        )
        self._listeners.append(listener)
        return listener

    async def connect(self, node: str, asked: Place | None = None, *, small: bool = False) -> Listener:
        """It has been welcomed, if not at once then when it came again."""
        came: list[Listener] = []

        async def is_welcomed() -> bool:
            came.append(self.knock(node, asked, small=small))
            return await came[-1].settle(PATIENCE)

        await eventually(is_welcomed, within=PATIENCE, what=f"somebody is let in on {node}")
        return came[-1]

    async def say(self, times: int = 1, size: int = 8) -> None:
        """One after the other, each acknowledged."""
        for _ in range(times):
            await self.author.publish(self.author.post(ROOM_NAME, size, keyed=True), self.n2)

    async def hears(self, listener: Listener, offset: int) -> None:
        """Up to there."""

        async def has() -> bool:
            return place_of(listener).offset >= offset

        await eventually(has, within=SOON, what=f"{listener.client} hears offset {offset}")

    async def cut_off(self, node: int = 0) -> Callable[[], Coroutine[Any, Any, None]]:
        """The node's link is lost, and does not come back before what is returned is called and done."""
        stage, victim = self.stage, self.stage.nodes[node]
        fault = stage.lose_link(victim)

        async def heal() -> None:
            stage.let_flow(victim, fault, Part.LINK)
            await eventually(is_live, within=SOON, what=f"{victim.name} hears the bus again")

        async def is_live() -> bool:
            return bool(await victim.count("link", "live"))

        return heal

    async def silence(self) -> None:
        """Whoever is there has to know what there is to know."""

        def standing() -> list[tuple[str, Place | None]]:
            return [(ROOM_NAME, place_of(each)) for each in self._listeners if each.is_live]

        await all_know_the_same(self._world, self._reader, (ROOM_NAME,), standing, STABLE_WITHIN)


def place_of(listener: Listener) -> Place:
    place = listener.stays[ROOM_NAME].place
    assert place is not None
    return place
