"""Who is there in a run, and how it goes: channels, listeners of every habit, an author, a reader; then silence."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.chaos.harness.connection import WireFormat
from tests.chaos.harness.history import FaultKind
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.waiting import holds
from tests.chaos.messages.audit import all_know_the_same
from tests.chaos.messages.author import AUTHOR, Author
from tests.chaos.messages.client import COMING_AND_GOING, STAYING, Client, Habit, World
from tests.chaos.messages.listener import AGENT, ROOM
from tests.chaos.messages.reader import Reader
from tests.chaos.messages.record import Place, Post
from tests.support.cluster import NodeProcess

ROOMS = tuple(ROOM + name for name in ("lobby", "garden", "attic", "cellar"))
WIDE = ROOM + "wide"
"""Its messages are large, and some of its listeners slow."""
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
"""Of the nodes, in turn."""
STAYING_PER_CHANNEL = 5
MOVING_PER_CHANNEL = 4
ROAMING = 4
SLOW = 3
SIZES = (0, 8, 40, 200, 1000)
WIDE_SIZE = 6000
UNDER_WAY_MAX = 256
KEYED = 0.8
SPEAKS_FOR = (0.3, 3.0)
"""Seconds, and as long it is silent, now and then for longer: then it shows whether the last message was lost."""
SILENT_FOR_LONG = (9.0, 12.0)
UNANSWERED_FOR = 20.0
STABLE_WITHIN = 20.0


class Workload:
    """`run`, then `fall_silent`; what was found at last is written down."""

    def __init__(self, world: World, *, rate: float) -> None:
        self._world = world
        self._chance = world.chance("workload")
        self._pause = 0.5 * len(KEYSPACE) / rate  # it speaks half of the time
        self._clients_at_work = Tasks()
        self._saying = Tasks()
        self._speaking = Tasks()
        mouths = self._mouths()
        self._slow = [self._client(f"slow.{n}", (WIDE,), n, small=True) for n in range(SLOW)]
        self._clients = [*mouths, *self._listeners(), *self._slow]
        self._author = Author(world, mouths=mouths)
        self._reader = Reader(world, KEYSPACE)

    # ---- who is there

    def _client(
        self,
        name: str,
        channels: tuple[str, ...],
        number: int,
        *,
        habit: Habit = STAYING,
        node: NodeProcess | None = None,
        user: str | None = None,
        small: bool = False,
    ) -> Client:
        wire = (WireFormat.JSON, WireFormat.MSGPACK)[number % 2]
        return Client(self._world, name, channels, habit=habit, wire=wire, node=node, user=user, small=small)

    def _mouths(self) -> list[Client]:
        """Of the one author, on every node, in every channel."""
        heard = ((*ROOMS, WIDE), *((agent,) for agent in AGENTS))
        pairs = [(node, channels) for node in self._world.stage.nodes for channels in heard]
        return [
            self._client(f"{AUTHOR}.{number}", channels, number, node=node, user=AUTHOR)
            for number, (node, channels) in enumerate(pairs)
        ]

    def _listeners(self) -> list[Client]:
        clients: list[Client] = []
        for channel in KEYSPACE:
            name = channel.partition(":")[2]
            clients += [self._client(f"{name}.stays.{n}", (channel,), n) for n in range(STAYING_PER_CHANNEL)]
            clients += [
                self._client(f"{name}.moves.{n}", (channel,), n, habit=COMING_AND_GOING)
                for n in range(MOVING_PER_CHANNEL)
            ]
        for n in range(ROAMING):
            rooms = tuple(self._chance.sample((*ROOMS, WIDE), 3))
            clients.append(self._client(f"roams.{n}", rooms, n, habit=COMING_AND_GOING))
        return clients

    # ---- how it goes

    def start(self) -> None:
        for client in self._clients:
            self._clients_at_work.start(client.run())
        for channel in KEYSPACE:
            self._speaking.start(self._speak(channel))
        self._speaking.start(self._reader.run())

    def check(self) -> None:
        for tasks in (self._clients_at_work, self._saying, self._speaking):
            tasks.check()

    async def _speak(self, channel: str) -> None:
        """By fits and starts, until it is cancelled."""
        loop, chance = asyncio.get_running_loop(), self._chance
        while True:
            until = loop.time() + chance.uniform(*SPEAKS_FOR)
            while loop.time() < until:
                if len(self._saying.running) < UNDER_WAY_MAX:
                    size = WIDE_SIZE if channel == WIDE else chance.choice(SIZES)
                    post = self._author.post(channel, size, keyed=chance.random() < KEYED)
                    self._saying.start(self._say(post))
                await asyncio.sleep(self._pause)
            await asyncio.sleep(chance.uniform(*(SILENT_FOR_LONG if chance.random() < 0.1 else SPEAKS_FOR)))

    async def _say(self, post: Post) -> None:
        await self._author.publish(post)

    async def slow_down(self, until: Callable[[], Awaitable[None]]) -> None:
        """One of the slow reads nothing for a while."""
        there = [client for client in self._slow if client.stays]
        if not there:
            return
        client = self._chance.choice(there)
        listener = client.listener
        assert listener is not None
        fault = self._world.stage.began(FaultKind.SLOW_CLIENT, client.name)
        listener.stop_reading()
        await until()
        self._world.stage.healed(fault)
        listener.read_on()

    # ---- how it ends

    async def fall_silent(self) -> None:
        """Nothing more is said; everybody comes back, and stays; then all have to know the same."""
        await self._speaking.close()
        for client in self._clients:
            client.settle()
        await holds(self._nothing_under_way, UNANSWERED_FOR)
        self.check()
        await all_know_the_same(self._world, self._reader, KEYSPACE, self._standing, STABLE_WITHIN)
        for client in self._clients:
            for channel in client.channels:
                if channel not in client.stays:
                    self._world.record.stray(self._world.now(), client.name, f"does not get back into {channel}")

    async def close(self) -> None:
        for tasks in (self._speaking, self._saying, self._clients_at_work):
            await tasks.close()

    async def _nothing_under_way(self) -> bool:
        return not self._saying.running

    def _standing(self) -> list[tuple[str, Place | None]]:
        """Everybody's place in each of its channels."""
        return [
            (channel, client.stays[channel].place if channel in client.stays else None)
            for client in self._clients
            for channel in client.channels
        ]
