"""The actions of which the scenarios of messages are made."""

from collections.abc import Callable, Coroutine
from typing import Any

from tests.chaos.harness.connection import WireFormat
from tests.chaos.harness.proxy import Part
from tests.chaos.messages.audit import audit_positions
from tests.chaos.messages.author import Author
from tests.chaos.messages.client import RunContext
from tests.chaos.messages.listener import ROOM, Listener
from tests.chaos.messages.reader import Reader
from tests.chaos.messages.record import Position
from tests.support.waiting import eventually

PATIENCE = 12.0
SOON = 5.0
STABLE_WITHIN = 6.0
ROOM_NAME = ROOM + "room"


class Scene:
    """Two nodes, n1 and n2, each behind its own proxy, and listeners in one room. Messages are published through n2."""

    def __init__(self, context: RunContext) -> None:
        self.stage = context.stage
        self.n1, self.n2 = context.stage.nodes
        self.author = Author(context)
        self._context = context
        self._reader = Reader(context, (ROOM_NAME,))
        self._listeners: list[Listener] = []

    def start_connecting(
        self,
        node: str,
        asked: Position | None = None,
        *,
        wire: WireFormat = WireFormat.JSON,
        small_buffers: bool = False,
    ) -> Listener:
        number = len(self._listeners) + 1
        listener = Listener(
            self._context.record,
            self._context.registry,
            {"n1": self.n1, "n2": self.n2}[node],
            client=f"listener.{number}",
            user=f"listener.{number}",
            home=ROOM_NAME,
            asked=asked,
            wire=wire,
            small_buffers=small_buffers,
        )
        self._listeners.append(listener)
        return listener

    async def connect(self, node: str, asked: Position | None = None, *, small_buffers: bool = False) -> Listener:
        """Connect a listener; returns once one is welcomed. Refused ones are replaced by another attempt."""
        attempts: list[Listener] = []

        async def is_welcomed() -> bool:
            attempts.append(self.start_connecting(node, asked, small_buffers=small_buffers))
            return await attempts[-1].wait_welcomed(PATIENCE)

        await eventually(is_welcomed, within=PATIENCE, what=f"a listener is admitted on {node}")
        return attempts[-1]

    async def publish(self, times: int = 1, size: int = 8) -> Position | None:
        """Publish messages one after the other, each until it is acknowledged. Returns the position of the last one."""
        position: Position | None = None
        for _ in range(times):
            position = await self.author.publish(self.author.new_post(ROOM_NAME, size, keyed=True), self.n2)
        return position

    async def publish_together(self, count: int) -> None:
        """Publish so many messages in one request."""
        posts = [self.author.new_post(ROOM_NAME, 8, keyed=True) for _ in range(count)]
        await self.author.publish_together(posts, self.n2)

    async def wait_for_offset(self, listener: Listener, offset: int) -> None:
        """Wait until the listener has the position `offset`."""

        async def has() -> bool:
            return position_of(listener).offset >= offset

        await eventually(has, within=SOON, what=f"{listener.client} receives offset {offset}")

    async def cut_link(self, node: int = 0) -> Callable[[], Coroutine[Any, Any, None]]:
        """Reset the pub/sub link of a node and keep it away; the returned coroutine function restores it."""
        stage, victim = self.stage, self.stage.nodes[node]
        fault = stage.lose_link(victim)

        async def heal() -> None:
            stage.resume_link(victim, fault, Part.LINK)
            await self.wait_until_link_is_live(node)

        return heal

    async def wait_until_link_is_live(self, node: int = 0) -> None:
        """Wait until a node receives what is published."""
        victim = self.stage.nodes[node]

        async def is_live() -> bool:
            return bool(await victim.count("link", "live"))

        await eventually(is_live, within=SOON, what=f"{victim.name} has its link")

    async def wait_until_consistent(self) -> None:
        """Wait until all nodes and listeners have the same position, and record the positions."""

        def positions() -> list[tuple[str, Position | None]]:
            return [(ROOM_NAME, position_of(each)) for each in self._listeners if each.is_live]

        await audit_positions(self._context, self._reader, (ROOM_NAME,), positions, STABLE_WITHIN)


def position_of(listener: Listener) -> Position:
    position = listener.subscriptions[ROOM_NAME].position
    assert position is not None
    return position
