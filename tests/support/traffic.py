"""Numbers that are said in one room, at two nodes in turn, and what a client at each node hears of them."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Self

from tests.support.client import Client, Frame
from tests.support.cluster import NodeProcess
from tests.support.waiting import eventually

PATIENCE = 30.0
"""Far more than anything needs: it only bounds a failure."""
PAUSE = 0.002


class Traffic:
    """`begin` it, do something, and `end` it. What is refused is not said again."""

    def __init__(self, nodes: list[NodeProcess], clients: list[Client], room: str) -> None:
        self.room = room
        self.said = 0
        self.confirmed: dict[int, tuple[str | None, int]] = {}
        """Number → epoch and offset, in the order in which they were said. Without history the offset is 0."""
        self.frames: list[list[Frame]] = [[] for _ in clients]
        self._nodes = nodes
        self._clients = clients
        self._heard_at: list[float] = []
        self._speaker: asyncio.Task[None]
        self._listeners: list[asyncio.Task[None]]

    @classmethod
    async def begin(cls, nodes: list[NodeProcess], room: str) -> Self:
        clients = [await node.connect(f"/ws/chat/{room}?user_id={node.name}") for node in nodes]
        traffic = cls(nodes, clients, room)
        traffic._speaker = asyncio.create_task(traffic._say())
        traffic._listeners = [asyncio.create_task(traffic._hear(number)) for number in range(len(clients))]
        await traffic.goes_on()
        return traffic

    async def _say(self) -> None:
        while True:
            self.said += 1
            node = self._nodes[self.said % len(self._nodes)]
            answer = await node.http.post(f"/api/v1/rooms/{self.room}/messages", json={"content": self.said})
            if answer.status_code == 200:
                place = answer.json()
                self.confirmed[self.said] = (place.get("epoch"), place.get("offset", 0))
            else:
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            await asyncio.sleep(PAUSE)

    async def _hear(self, number: int) -> None:
        while True:
            frame = await self._clients[number].find(lambda _: True, "a frame")
            self.frames[number].append(frame)
            if frame["type"] == "message":
                self._heard_at.append(time.monotonic())

    async def goes_on(self) -> None:
        """Until each client has heard something that was said from now on."""
        before = self.said
        await self._is_heard_by_all(lambda number: number > before, "what is said from now on is heard")

    async def _is_heard_by_all(self, wanted: Callable[[int], bool], what: str) -> None:
        async def is_heard() -> bool:
            return all(any(map(wanted, heard(frames[-50:]))) for frames in self.frames)

        await eventually(is_heard, within=PATIENCE, what=what)

    async def end(self) -> None:
        """Nothing is said any more, and all that was has been heard."""
        self._speaker.cancel()
        await asyncio.gather(self._speaker, return_exceptions=True)
        last = max(self.confirmed)
        await self._is_heard_by_all(lambda number: number >= last, "the last message is heard")
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)

    @property
    def longest_silence(self) -> float:
        """Seconds between two messages, at any client."""
        return max(later - sooner for sooner, later in pairwise(self._heard_at))

    def each_once_in_order(self) -> bool:
        return all(heard(frames) == sorted(set(heard(frames))) for frames in self.frames)

    def silent_holes(self) -> list[int]:
        """Confirmed messages that a client neither got nor was told by a `resync` that it may have missed."""
        epochs = list(dict.fromkeys(epoch for epoch, _ in self.confirmed.values()))
        holes: list[int] = []
        for frames in self.frames:
            got = heard(frames)
            resyncs = [frame for frame in frames if frame["type"] == "resync" and frame["epoch"] in epochs]
            told_up_to = max(((epochs.index(frame["epoch"]), frame["offset"]) for frame in resyncs), default=(0, 0))
            for number, (epoch, offset) in self.confirmed.items():
                if number > got[0] and number not in got and (epochs.index(epoch), offset) > told_up_to:
                    holes.append(number)
        return holes

    def resyncs(self) -> int:
        return sum(frame["type"] == "resync" for frames in self.frames for frame in frames)


def heard(frames: list[Frame]) -> list[int]:
    return [frame["content"] for frame in frames if frame["type"] == "message"]
