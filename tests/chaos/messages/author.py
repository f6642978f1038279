"""Says numbered messages over WebSockets and HTTP, and says them again with the same key until one is acknowledged."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import httpx

from tests.chaos.messages.client import Client, World
from tests.chaos.messages.listener import ROOM, api_path_of
from tests.chaos.messages.record import Acknowledged, Place, Post, content_of
from tests.support.cluster import NodeProcess

AUTHOR = "author"
"""The one user who speaks: a key counts for its author alone, and is to be repeated through any node."""
PATIENCE = 2.0
"""Seconds for an answer: a node promises one within 0.5."""
GIVE_UP_AFTER = 15.0
"""Seconds after which nobody says it again. Keys are remembered for 300."""
AGAIN_AFTER = (0.05, 0.5)


class Author:
    """`mouths`: its own sockets, of which it takes one that lives and is in the channel. `http_share`: of its tries."""

    def __init__(self, world: World, *, mouths: Sequence[Client] = (), http_share: float = 0.2) -> None:
        self._mouths = mouths
        self._http_share = http_share
        self._stage = world.stage
        self._record = world.record
        self._chance = world.chance("author")
        self._numbers = itertools.count(1)

    def post(self, channel: str, size: int, *, keyed: bool) -> Post:
        number = next(self._numbers)
        return Post(number, channel, size, f"key.{number}" if keyed else None)

    async def publish(self, post: Post, through: NodeProcess | None = None) -> Place | None:
        """Until it is acknowledged; None: nobody knows whether it was said. `through`: over HTTP, to this node."""
        give_up = self._now() + GIVE_UP_AFTER
        for tries in itertools.count(1):
            acknowledged = await (self._try(post) if through is None else self._hand_in(through, post))
            if acknowledged is not None:
                at, place = acknowledged
                self._record.acknowledged.append(Acknowledged(post, place, at, tries))
                return place
            if post.key is None or self._now() > give_up:
                break
            await asyncio.sleep(self._chance.uniform(*AGAIN_AFTER))
        self._record.given_up.append(post)
        return None

    async def _try(self, post: Post) -> tuple[float, Place] | None:
        speaking = [each.listener for each in self._mouths if each.listener and post.channel in each.stays]
        if speaking and self._chance.random() > self._http_share:
            answer = await self._chance.choice(speaking).say(post, PATIENCE)
            if answer is None or answer[1]["type"] != "ok":
                return None
            return self._read(post, *answer)
        up = self._stage.up()
        return await self._hand_in(self._chance.choice(up), post) if up else None

    async def _hand_in(self, node: NodeProcess, post: Post) -> tuple[float, Place] | None:
        """Over HTTP, once."""
        body: dict[str, Any] = {"content": content_of(post.number, post.size), "user_id": AUTHOR}
        if post.key is not None:
            body["key"] = post.key
        if self._chance.random() < 0.5:
            return await self._hand_in_many(node, post, body)
        try:
            answer = await node.http.post(api_path_of(post.channel), json=body, timeout=PATIENCE)
        except httpx.TransportError:
            return None
        return self._read_http(post, answer.status_code, answer.json())

    async def _hand_in_many(self, node: NodeProcess, post: Post, body: dict[str, Any]) -> tuple[float, Place] | None:
        """As one of many, of which there are no others."""
        kind, _, name = post.channel.partition(":")
        whole = {"messages": [{("room" if kind + ":" == ROOM else "agent_id"): name, **body}]}
        try:
            answer = await node.http.post("/api/v1/messages", json=whole, timeout=PATIENCE)
        except httpx.TransportError:
            return None
        result = answer.json()
        if answer.status_code == 200:
            result = result["results"][0]
        return self._read_http(post, result.get("status", answer.status_code), result)

    def _read_http(self, post: Post, status: int, told: dict[str, Any]) -> tuple[float, Place] | None:
        if status == 200:
            return self._read(post, self._now(), told)
        if status != 503:
            self._record.stray(self._now(), AUTHOR, f"{status}: {told}")
        return None

    def _read(self, post: Post, at: float, told: dict[str, Any]) -> tuple[float, Place] | None:
        place = Place.of(told)
        if place is None:
            self._record.stray(at, AUTHOR, f"message {post.number} was acknowledged without a place: {told}")
            return None
        return at, place

    def _now(self) -> float:
        return self._record.history.now()
