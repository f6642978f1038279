"""A rolling restart behind the balancers of deploy/, while clients chat: none of them notices anything."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
from tannoy.client import Gap, connect
from tannoy.client.room import Room

from tests.cluster.conftest import LONG_HISTORY
from tests.support.cluster import Cluster, Transport
from tests.support.node import PATIENT
from tests.support.reverse_proxies import deployed_haproxy, deployed_nginx
from tests.support.waiting import value_becomes

Balancer = Callable[[Sequence[int]], AbstractAsyncContextManager[tuple[int, int]]]
"""In front of these ports: its public and its private one."""
CLIENTS = 30
PAUSE = 0.5
"""Seconds between two messages of a client."""


class Chatter:
    """A client that speaks and listens in a room until it is stopped."""

    def __init__(self, name: str, room: Room, stop: asyncio.Event) -> None:
        self.said: list[str] = []
        self.heard: list[tuple[int | None, object]] = []
        self.gaps: list[Gap] = []
        self._name = name
        self._room = room
        self._stop = stop

    async def speak(self) -> None:
        while not self._stop.is_set():
            message = f"{self._name}-{len(self.said)}"
            await self._room.send(message, key=message)
            self.said.append(message)
            await asyncio.sleep(PAUSE)

    async def listen(self) -> None:
        async for item in self._room.items():
            if isinstance(item, Gap):
                self.gaps.append(item)
            else:
                self.heard.append((item.offset, item.content))


@pytest.mark.parametrize("balancer", [deployed_haproxy, deployed_nginx], ids=["haproxy", "nginx"])
async def test_a_rolling_restart_is_noticed_by_no_client(balancer: Balancer) -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            Cluster(
                3,
                Transport.FAST,
                times=PATIENT,
                DRAIN_DELAY="3",
                DRAIN_SECONDS="3",
                PRESENCE_GRACE="30",
                **LONG_HISTORY,
            )
        )
        public, _ = await stack.enter_async_context(balancer([node.port for node in cluster.nodes]))
        chatters, stop = list[Chatter](), asyncio.Event()
        for number in range(CLIENTS):
            client = await stack.enter_async_context(connect(f"ws://127.0.0.1:{public}", user_id=f"u{number}"))
            chatters.append(Chatter(f"u{number}", await client.join("lobby"), stop))

        async def presence() -> tuple[int, int]:
            """The users of the room, and how many events of presence it has had."""
            answer = (await cluster.nodes[0].http.get("/api/v1/rooms/lobby/presence")).json()
            return answer["users_count"], answer["version"]

        before = await presence()
        listening = [asyncio.create_task(each.listen()) for each in chatters]
        speaking = [asyncio.create_task(each.speak()) for each in chatters]
        for node in cluster.nodes:
            assert await node.stop() == 0
            await node.start()
        stop.set()
        await asyncio.gather(*speaking)
        said = Counter(message for each in chatters for message in each.said)

        async def who_has_not_heard_all() -> list[int]:
            return [number for number, each in enumerate(chatters) if len(each.heard) < said.total()]

        await value_becomes(who_has_not_heard_all, [])
        for each in chatters:
            assert Counter(content for _, content in each.heard) == said
            assert each.heard == chatters[0].heard
            assert each.gaps == []
        assert [offset for offset, _ in chatters[0].heard] == list(range(1, said.total() + 1))
        assert await presence() == before
        assert [node.name for node in cluster.nodes if "refused a client" in node.log()] == []
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
