"""Publishes numbered messages over WebSockets and HTTP, and repeats each with its key until it is acknowledged."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import httpx

from tests.chaos.messages.client import Client, RunContext
from tests.chaos.messages.listener import ROOM, api_path_of
from tests.chaos.messages.record import Acknowledged, Position, Post, content_of
from tests.support.cluster import NodeProcess

AUTHOR = "author"
"""The user that publishes everything: a key belongs to one author, and may be repeated through any node."""
PATIENCE = 2.0
"""Seconds to wait for an answer; nodes answer within 0.5."""
GIVE_UP_AFTER = 15.0
"""Seconds after which a message is not repeated any more. Keys are remembered for 300."""
AGAIN_AFTER = (0.05, 0.5)


class Author:
    """`sockets`: its clients; it uses one that is subscribed to the channel. `http_share`: of its attempts."""

    def __init__(self, context: RunContext, *, sockets: Sequence[Client] = (), http_share: float = 0.2) -> None:
        self._sockets = sockets
        self._http_share = http_share
        self._stage = context.stage
        self._record = context.record
        self._chance = context.chance("author")
        self._numbers = itertools.count(1)

    def new_post(self, channel: str, size: int, *, keyed: bool) -> Post:
        number = next(self._numbers)
        return Post(number, channel, size, f"key.{number}" if keyed else None)

    async def publish(self, post: Post, through: NodeProcess | None = None) -> Position | None:
        """Repeat it until it is acknowledged. None: unknown. `through`: over HTTP, to this node alone."""
        give_up = self._now() + GIVE_UP_AFTER
        for tries in itertools.count(1):
            acknowledged = await (self._attempt(post) if through is None else self._publish_over_http(through, post))
            if acknowledged is not None:
                at, position = acknowledged
                self._record.acknowledged.append(Acknowledged(post, position, at, tries))
                return position
            if post.key is None or self._now() > give_up:
                break
            await asyncio.sleep(self._chance.uniform(*AGAIN_AFTER))
        self._record.unconfirmed.append(post)
        return None

    async def publish_together(self, posts: Sequence[Post], through: NodeProcess) -> None:
        """In one request to this node; each that is not acknowledged is repeated alone."""
        messages = [self._as_message(post, self._body_of(post)) for post in posts]
        answer = await through.http.post("/api/v1/messages", json={"messages": messages}, timeout=PATIENCE)
        for post, result in zip(posts, answer.json()["results"], strict=True):
            acknowledged = self._read_http(post, result.get("status", answer.status_code), result)
            if acknowledged is None:
                await self.publish(post, through)
            else:
                at, position = acknowledged
                self._record.acknowledged.append(Acknowledged(post, position, at, 1))

    async def _attempt(self, post: Post) -> tuple[float, Position] | None:
        subscribed = [each.listener for each in self._sockets if each.listener and each.may_use(post.channel)]
        if subscribed and self._chance.random() > self._http_share:
            answer = await self._chance.choice(subscribed).publish(post, PATIENCE)
            if answer is None or answer[1]["type"] != "ok":
                return None
            return self._read(post, *answer)
        up = self._stage.live_nodes()
        return await self._publish_over_http(self._chance.choice(up), post) if up else None

    async def _publish_over_http(self, node: NodeProcess, post: Post) -> tuple[float, Position] | None:
        """One attempt over HTTP."""
        body = self._body_of(post)
        if self._chance.random() < 0.5:
            return await self._publish_as_batch(node, post, body)
        try:
            answer = await node.http.post(api_path_of(post.channel), json=body, timeout=PATIENCE)
        except httpx.TransportError:
            return None
        return self._read_http(post, answer.status_code, answer.json())

    async def _publish_as_batch(
        self, node: NodeProcess, post: Post, body: dict[str, Any]
    ) -> tuple[float, Position] | None:
        """One attempt as a batch of one message."""
        whole = {"messages": [self._as_message(post, body)]}
        try:
            answer = await node.http.post("/api/v1/messages", json=whole, timeout=PATIENCE)
        except httpx.TransportError:
            return None
        result = answer.json()
        if answer.status_code == 200:
            result = result["results"][0]
        return self._read_http(post, result.get("status", answer.status_code), result)

    def _body_of(self, post: Post) -> dict[str, Any]:
        body: dict[str, Any] = {"content": content_of(post.number, post.size), "user_id": AUTHOR}
        return body if post.key is None else body | {"key": post.key}

    def _as_message(self, post: Post, body: dict[str, Any]) -> dict[str, Any]:
        """Of a batch: with its channel."""
        kind, _, name = post.channel.partition(":")
        return {("room" if kind + ":" == ROOM else "agent_id"): name, **body}

    def _read_http(self, post: Post, status: int, answer: dict[str, Any]) -> tuple[float, Position] | None:
        if status == 200:
            return self._read(post, self._now(), answer)
        if status != 503:
            self._record.add_unexpected(self._now(), AUTHOR, f"{status}: {answer}")
        return None

    def _read(self, post: Post, at: float, answer: dict[str, Any]) -> tuple[float, Position] | None:
        position = Position.of(answer)
        if position is None:
            self._record.add_unexpected(
                at, AUTHOR, f"message {post.number} was acknowledged without a position: {answer}"
            )
            return None
        return at, position

    def _now(self) -> float:
        return self._record.history.now()
