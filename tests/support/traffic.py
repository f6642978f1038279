"""Traffic in one room: a client at each node publishes numbers without waiting for answers, and keeps what arrives."""

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

MessageId = tuple[str, int]
"""(user id of the author, its number)"""


class Traffic:
    """`start` it, do something, `stop` it, and ask what arrived. Refused messages are not repeated."""

    def __init__(self, clients: list[Client]) -> None:
        self.published = 0
        self.confirmed: dict[MessageId, tuple[str | None, int]] = {}
        """Epoch and offset of each acknowledged message. Without history the offset is 0."""
        self.refused = 0
        self.frames: list[list[Frame]] = [[] for _ in clients]
        self._clients = clients
        self._received_at: list[float] = []
        self._publishing: list[asyncio.Task[None]]
        self._receiving: list[asyncio.Task[None]]

    @classmethod
    async def start(cls, nodes: list[NodeProcess], room: str) -> Self:
        traffic = cls([await node.connect(f"/ws/chat/{room}?user_id={node.name}") for node in nodes])
        traffic._receiving = [asyncio.create_task(traffic._receive(number)) for number in range(len(nodes))]
        traffic._publishing = [asyncio.create_task(traffic._publish(client)) for client in traffic._clients]
        await traffic.wait_until_all_receive()
        return traffic

    async def _publish(self, client: Client) -> None:
        while True:
            self.published += 1
            await client.send("message", id=self.published, content=self.published)
            await asyncio.sleep(PAUSE)

    async def _receive(self, number: int) -> None:
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
                    self._received_at.append(time.monotonic())

    async def wait_until_all_receive(self) -> None:
        """Wait until each client has received a message of each author that was published after this call."""
        before = self.published
        names = {client.welcome["user_id"] for client in self._clients}
        await self._until(
            lambda ids: {who for who, number in ids if number > before} == names, "new messages are received"
        )

    async def _until(self, wanted: Callable[[list[MessageId]], bool], what: str) -> None:
        async def holds() -> bool:
            for task in (*self._receiving, *self._publishing):
                if task.done() and not task.cancelled():
                    task.result()
            return all(wanted(received(frames[-500:])) for frames in self.frames)

        await eventually(holds, within=PATIENCE, what=what)

    async def stop(self) -> None:
        """Stop publishing; returns when every message is answered and the last one of each author is received."""
        for task in self._publishing:
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)
        await eventually(self._is_answered, within=PATIENCE, what="everything is answered")
        last = dict(sorted(self.confirmed)).items()
        await self._until(lambda ids: last <= set(ids), "the last message of each author is received")
        for task in self._receiving:
            task.cancel()
        await asyncio.gather(*self._receiving, return_exceptions=True)

    async def _is_answered(self) -> bool:
        return len(self.confirmed) + self.refused == self.published

    # ---- results

    @property
    def longest_gap(self) -> float:
        """The longest time between two messages at any client, in seconds."""
        return max(later - sooner for sooner, later in pairwise(sorted(self._received_at)))

    def each_once_in_order(self) -> bool:
        """Whether each client received each message once, and those of each author in their order."""
        for frames in self.frames:
            for name in {who for who, _ in received(frames)}:
                numbers = [number for who, number in received(frames) if who == name]
                if numbers != sorted(set(numbers)):
                    return False
        return True

    def unannounced_holes(self) -> list[MessageId]:
        """Acknowledged messages that a client neither received nor was announced as missing by a `resync`."""
        first = max(received(frames)[0][1] for frames in self.frames)
        by_number = sorted(self.confirmed.items(), key=lambda item: item[0][1])
        epochs = list(dict.fromkeys(epoch for _, (epoch, _) in by_number))
        holes: list[MessageId] = []
        for frames in self.frames:
            ids = set(received(frames))
            resyncs = [frame for frame in frames if frame["type"] == "resync" and frame["epoch"] in epochs]
            announced_up_to = max(
                ((epochs.index(frame["epoch"]), frame["offset"]) for frame in resyncs), default=(0, 0)
            )
            for message, (epoch, offset) in by_number:
                if message[1] > first and message not in ids and (epochs.index(epoch), offset) > announced_up_to:
                    holes.append(message)
        return holes

    def resyncs(self) -> int:
        return sum(frame["type"] == "resync" for frames in self.frames for frame in frames)

    def summary(self) -> str:
        return (
            f"no message for {self.longest_gap:.3f} s at the most,"
            f" {len(self.confirmed)} of {self.published} confirmed, {self.resyncs()} resyncs"
        )


def received(frames: list[Frame]) -> list[MessageId]:
    return [(frame["user_id"], frame["content"]) for frame in frames if frame["type"] == "message"]
