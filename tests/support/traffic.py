"""Numbers that a client at each node says in one room, without waiting for answers, and what is heard of them."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Self

from tests.support.client import Client, Frame
from tests.support.cluster import NodeProcess
from tests.support.waiting import PATIENCE, eventually

PAUSE = 0.004
"""Seconds between two messages of a client."""

Said = tuple[str, int]
"""(who, which of its numbers)"""


class Traffic:
    """`begin` it, do something, and `end` it. What is refused is not said again."""

    def __init__(self, clients: list[Client]) -> None:
        self.said = 0
        self.confirmed: dict[Said, tuple[str | None, int]] = {}
        """Epoch and offset of each. Without history the offset is 0."""
        self.refused = 0
        self.frames: list[list[Frame]] = [[] for _ in clients]
        self._clients = clients
        self._heard_at: list[float] = []
        self._speakers: list[asyncio.Task[None]]
        self._listeners: list[asyncio.Task[None]]

    @classmethod
    async def begin(cls, nodes: list[NodeProcess], room: str) -> Self:
        traffic = cls([await node.connect(f"/ws/chat/{room}?user_id={node.name}") for node in nodes])
        traffic._listeners = [asyncio.create_task(traffic._hear(number)) for number in range(len(nodes))]
        traffic._speakers = [asyncio.create_task(traffic._say(client)) for client in traffic._clients]
        await traffic.goes_on()
        return traffic

    async def _say(self, client: Client) -> None:
        while True:
            self.said += 1
            await client.send("message", id=self.said, content=self.said)
            await asyncio.sleep(PAUSE)

    async def _hear(self, number: int) -> None:
        client = self._clients[number]
        name = client.welcome["user_id"]
        while True:
            frame = await client.find(lambda _: True, "a frame")
            if frame["type"] == "ok":
                self.confirmed[name, frame["id"]] = (frame.get("epoch"), frame.get("offset", 0))
            elif frame["type"] == "error":
                assert frame["code"] == "unavailable", frame
                self.refused += 1
            else:
                self.frames[number].append(frame)
                if frame["type"] == "message":
                    self._heard_at.append(time.monotonic())

    async def goes_on(self) -> None:
        """Until each client has heard something of each that was said from now on."""
        before = self.said
        names = {client.welcome["user_id"] for client in self._clients}
        await self._until(lambda got: {who for who, number in got if number > before} == names, "what is said is heard")

    async def _until(self, wanted: Callable[[list[Said]], bool], what: str) -> None:
        async def holds() -> bool:
            for task in (*self._listeners, *self._speakers):
                if task.done() and not task.cancelled():
                    task.result()
            return all(wanted(heard(frames[-500:])) for frames in self.frames)

        await eventually(holds, within=PATIENCE, what=what)

    async def end(self) -> None:
        """Nothing is said any more, and all that was said is answered and heard."""
        for speaker in self._speakers:
            speaker.cancel()
        await asyncio.gather(*self._speakers, return_exceptions=True)
        await eventually(self._is_answered, within=PATIENCE, what="everything is answered")
        last = max(self.confirmed, key=lambda said: said[1])
        await self._until(lambda got: last in got, "the last message is heard")
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(*self._listeners, return_exceptions=True)

    async def _is_answered(self) -> bool:
        return len(self.confirmed) + self.refused == self.said

    # ---- what came of it

    @property
    def longest_silence(self) -> float:
        """Seconds between two messages, at any client."""
        return max(later - sooner for sooner, later in pairwise(sorted(self._heard_at)))

    def each_once_in_order(self) -> bool:
        """Each client hears each message once, and those of each client in the order in which it said them."""
        for frames in self.frames:
            for name in {who for who, _ in heard(frames)}:
                numbers = [number for who, number in heard(frames) if who == name]
                if numbers != sorted(set(numbers)):
                    return False
        return True

    def silent_holes(self) -> list[Said]:
        """Confirmed messages that a client neither received nor got a `resync` for."""
        first = max(heard(frames)[0][1] for frames in self.frames)
        said_at = sorted(self.confirmed.items(), key=lambda item: item[0][1])
        epochs = list(dict.fromkeys(epoch for _, (epoch, _) in said_at))
        holes: list[Said] = []
        for frames in self.frames:
            got = set(heard(frames))
            resyncs = [frame for frame in frames if frame["type"] == "resync" and frame["epoch"] in epochs]
            told_up_to = max(((epochs.index(frame["epoch"]), frame["offset"]) for frame in resyncs), default=(0, 0))
            for said, (epoch, offset) in said_at:
                if said[1] > first and said not in got and (epochs.index(epoch), offset) > told_up_to:
                    holes.append(said)
        return holes

    def resyncs(self) -> int:
        return sum(frame["type"] == "resync" for frames in self.frames for frame in frames)

    def summary(self) -> str:
        return (
            f"nothing heard for {self.longest_silence:.3f} s at the most,"
            f" {len(self.confirmed)} of {self.said} confirmed, {self.resyncs()} resyncs"
        )


def heard(frames: list[Frame]) -> list[Said]:
    return [(frame["user_id"], frame["content"]) for frame in frames if frame["type"] == "message"]
