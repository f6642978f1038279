"""The workload of a run: channels, listeners with different patterns, one author, one reader; and its end."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.chaos.harness.connection import WireFormat
from tests.chaos.harness.history import FaultKind
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.messages.audit import audit_positions
from tests.chaos.messages.author import AUTHOR, Author
from tests.chaos.messages.client import COMING_AND_GOING, STAYING, Client, RunContext, VisitPattern
from tests.chaos.messages.listener import AGENT, ROOM
from tests.chaos.messages.python_client import PythonClient
from tests.chaos.messages.reader import Reader
from tests.chaos.messages.record import Position, Post
from tests.support.cluster import NodeProcess

ROOMS = tuple(ROOM + name for name in ("lobby", "garden", "attic", "cellar"))
WIDE = ROOM + "wide"
"""A room with large messages and some slow listeners."""
AGENTS = (AGENT + "ada", AGENT + "bob")
KEYSPACE = (*ROOMS, WIDE, *AGENTS)
KEPT = 150
SETTINGS = {
    "HISTORY_SIZE": str(KEPT),
    "OUTBOX_MAX_BYTES": "131072",
    "AGENT_MAX_SESSIONS": "1000",
    "PRESENCE_INLINE_MAX": "0",
    "PRESENCE_GRACE": "2",
}
OWN_SETTINGS = (
    {"SLOW_POLICY": "disconnect", "LIMIT_MODE": "strict"},
    {"SLOW_POLICY": "skip", "LIMIT_MODE": "strict"},
    {"SLOW_POLICY": "disconnect", "LIMIT_MODE": "available"},
    {"SLOW_POLICY": "skip", "LIMIT_MODE": "available"},
)
"""Settings of the nodes, in turn."""
STAYING_PER_CHANNEL = 4
MOVING_PER_CHANNEL = 4
ROAMING = 4
SLOW = 3
SIZES = (0, 8, 40, 200, 1000)
WIDE_SIZE = 6000
UNDER_WAY_MAX = 256
KEYED = 0.8
PUBLISHES_FOR = (0.3, 3.0)
"""Seconds of publishing, and of the pause after it. Some pauses are longer, so that a lost last message is noticed."""
LONG_PAUSE = (9.0, 12.0)
UNANSWERED_FOR = 20.0
STABLE_WITHIN = 20.0


class Workload:
    """`start`, then `finish`, which records the last positions."""

    def __init__(self, context: RunContext, *, rate: float) -> None:
        self._context = context
        self._chance = context.chance("workload")
        self._pause = 0.5 * len(KEYSPACE) / rate  # it publishes half of the time
        self._clients_at_work = Tasks()
        self._in_flight = Tasks()
        self._publishing = Tasks()
        sockets = self._sockets()
        self._slow = [self._client(f"slow.{n}", (WIDE,), n, small_buffers=True) for n in range(SLOW)]
        self._clients = [*sockets, *self._listeners(), *self._slow]
        self._python_clients = [
            PythonClient(context, f"python.{number}", channel, number) for number, channel in enumerate(KEYSPACE)
        ]
        self._author = Author(context, sockets=sockets)
        self._reader = Reader(context, KEYSPACE)

    # ---- clients

    def _client(
        self,
        name: str,
        channels: tuple[str, ...],
        number: int,
        *,
        pattern: VisitPattern = STAYING,
        node: NodeProcess | None = None,
        user: str | None = None,
        small_buffers: bool = False,
    ) -> Client:
        wire = (WireFormat.JSON, WireFormat.MSGPACK)[number % 2]
        return Client(
            self._context, name, channels, pattern=pattern, wire=wire, node=node, user=user, small_buffers=small_buffers
        )

    def _sockets(self) -> list[Client]:
        """The author's own clients, on every node and in every channel."""
        groups = ((*ROOMS, WIDE), *((agent,) for agent in AGENTS))
        pairs = [(node, channels) for node in self._context.stage.nodes for channels in groups]
        return [
            self._client(f"{AUTHOR}.{number}", channels, number, node=node, user=AUTHOR)
            for number, (node, channels) in enumerate(pairs)
        ]

    def _listeners(self) -> list[Client]:
        clients: list[Client] = []
        for channel in KEYSPACE:
            name = channel.partition(":")[2]
            clients += [self._client(f"{name}.permanent.{n}", (channel,), n) for n in range(STAYING_PER_CHANNEL)]
            clients += [
                self._client(f"{name}.visiting.{n}", (channel,), n, pattern=COMING_AND_GOING)
                for n in range(MOVING_PER_CHANNEL)
            ]
        for n in range(ROAMING):
            rooms = tuple(self._chance.sample((*ROOMS, WIDE), 3))
            clients.append(self._client(f"rooms.{n}", rooms, n, pattern=COMING_AND_GOING))
        return clients

    # ---- the run

    def start(self) -> None:
        for client in self._clients:
            self._clients_at_work.start(client.run())
        for python_client in self._python_clients:
            self._clients_at_work.start(python_client.run())
        for channel in KEYSPACE:
            self._publishing.start(self._publish_to(channel))
        self._publishing.start(self._reader.run())

    def check(self) -> None:
        for tasks in (self._clients_at_work, self._in_flight, self._publishing):
            tasks.check()

    async def _publish_to(self, channel: str) -> None:
        """Publish in bursts, until it is cancelled."""
        loop, chance = asyncio.get_running_loop(), self._chance
        while True:
            until = loop.time() + chance.uniform(*PUBLISHES_FOR)
            while loop.time() < until:
                if len(self._in_flight.running) < UNDER_WAY_MAX:
                    size = WIDE_SIZE if channel == WIDE else chance.choice(SIZES)
                    post = self._author.new_post(channel, size, keyed=chance.random() < KEYED)
                    self._in_flight.start(self._publish(post))
                await asyncio.sleep(self._pause)
            await asyncio.sleep(chance.uniform(*(LONG_PAUSE if chance.random() < 0.1 else PUBLISHES_FOR)))

    async def _publish(self, post: Post) -> None:
        await self._author.publish(post)

    async def slow_down(self, until: Callable[[], Awaitable[None]]) -> None:
        """Let one of the slow listeners read nothing until `until` has ended."""
        there = [client for client in self._slow if client.subscriptions]
        if not there:
            return
        client = self._chance.choice(there)
        listener = client.listener
        assert listener is not None
        fault = self._context.stage.history.record_fault(FaultKind.SLOW_CLIENT, client.name)
        listener.pause_reading()
        await until()
        self._context.stage.history.record_healed(fault)
        listener.resume_reading()

    # ---- the end

    async def finish(self) -> None:
        """Stop publishing, let all clients reconnect and stay, and record the last positions of all."""
        await self._publishing.close()
        for client in self._clients:
            client.stay_connected()
        await becomes_true(self._nothing_under_way, UNANSWERED_FOR)
        self.check()
        await audit_positions(self._context, self._reader, KEYSPACE, self._positions, STABLE_WITHIN)
        for client in self._clients:
            for channel in client.channels:
                if channel not in client.subscriptions:
                    self._context.record.add_unexpected(self._context.now(), client.name, f"cannot return to {channel}")
        for python_client in self._python_clients:
            if python_client.position is None:
                self._context.record.add_unexpected(self._context.now(), python_client.name, "has no position")

    async def close(self) -> None:
        for tasks in (self._publishing, self._in_flight, self._clients_at_work):
            await tasks.close()

    async def _nothing_under_way(self) -> bool:
        return not self._in_flight.running

    def _positions(self) -> list[tuple[str, Position | None]]:
        """The position of each client in each of its channels."""
        return [
            *(
                (channel, client.subscriptions[channel].position if channel in client.subscriptions else None)
                for client in self._clients
                for channel in client.channels
            ),
            *((client.channel, client.position) for client in self._python_clients),
        ]
