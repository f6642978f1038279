"""A producer: writes one stream after the other on whatever node is there, as a back end would, and sometimes dies."""

import asyncio
import random
from typing import Any

import httpx

from tests.chaos.harness.stage import Stage
from tests.chaos.streams.record import Record

AGAIN_AFTER = 0.1
PIECES = (5, 120)
"""Of one stream, at least and at most."""
DIES = 0.1
"""Share of the streams whose producer dies."""


class Producer:
    """`pause`: seconds between two pieces."""

    def __init__(self, stage: Stage, record: Record, agent: str, seed: int, pause: float) -> None:
        self.is_stopping = False
        self._stage = stage
        self._record = record
        self._agent = agent
        self._random = random.Random(f"producer {agent} {seed}")
        self._pause = pause
        self._streams = 0

    async def run(self) -> None:
        """Write streams until `is_stopping`; the last one is ended too."""
        while not self.is_stopping:
            self._streams += 1
            stream_id = f"{self._agent}-{self._streams}"
            if await self._call("", stream_id=stream_id) is None:
                continue
            self._record.begun += 1
            await self._write(stream_id)

    async def _write(self, stream_id: str) -> None:
        length = 0
        for number in range(self._random.randint(*PIECES)):
            if self.is_stopping:
                break
            await asyncio.sleep(self._pause * self._random.uniform(0.2, 1.8))
            end = self._end_of_piece(stream_id, number)
            written = await self._write_up_to(stream_id, length, end)
            if written is None:
                return
            length = end
            self._record.pieces += 1
        if not self.is_stopping and self._random.random() < DIES:
            return
        if await self._write_up_to(stream_id, length, length) is None:
            return
        ended = await self._call(f"/{stream_id}/end")
        if ended is not None and ended["status"] == "done":
            self._record.lengths[stream_id] = length

    def _end_of_piece(self, stream_id: str, number: int) -> int:
        text = self._record.references
        end, size = 0, 64
        marker = f"{stream_id}#{number + 1} ".encode()
        while True:
            found = text.text(stream_id, 0, size).find(marker)
            if found >= 0:
                end = found
                return end
            size *= 2

    async def _write_up_to(self, stream_id: str, start: int, end: int) -> int | None:
        """Write the text from `start`, or from where Redis has it; None: the stream is lost."""
        while True:
            text = self._record.references.text(stream_id, start, end).decode()
            answer = await self._call(f"/{stream_id}", text=text, **{"from": start})
            if answer is None:
                return None
            if "stop" in answer:
                return end
            start = answer["to"]

    async def _call(self, path: str, **fields: Any) -> dict[str, Any] | None:
        """The answer of some node; of a gap, its problem. None: the stream has ended, or is lost."""
        tries = 0
        while True:
            nodes = self._stage.live_nodes()
            if not nodes:
                await asyncio.sleep(AGAIN_AFTER)
                continue
            tries += 1
            try:
                node = self._random.choice(nodes)
                answer = await node.http.post(f"/api/v1/agents/{self._agent}/streams{path}", json=fields)
            except httpx.TransportError:
                await asyncio.sleep(AGAIN_AFTER)
                continue
            body: dict[str, Any] = answer.json()
            if answer.status_code == 200:
                return body
            if answer.status_code == 409 and not path and tries > 1:
                return body  # begun by a try that was not answered
            if answer.status_code == 409 and "ended" not in body and body.get("to", 1) < fields.get("from", 0):
                return body
            if answer.status_code in (404, 409, 429):
                return None
            await asyncio.sleep(AGAIN_AFTER)
