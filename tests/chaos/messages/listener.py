"""A connection that subscribes to channels, publishes and reads history, and records what arrives."""

import asyncio
from typing import Any
from urllib.parse import urlencode

from tests.chaos.harness.connection import Connection, ConnectionRegistry, WireFormat
from tests.chaos.harness.history import End
from tests.chaos.messages.record import Messages, Page, Position, Post, Record, Subscription, Window, content_of
from tests.support.cluster import NodeProcess

ROOM, AGENT = "room:", "agent:"
Answer = tuple[float, dict[str, Any]]
"""Time of arrival, and the frame."""


def path_of(channel: str) -> str:
    """The path of the channel's own WebSocket endpoint."""
    if channel.startswith(ROOM):
        return "/ws/chat/" + channel.removeprefix(ROOM)
    return "/ws/agents/" + channel.removeprefix(AGENT)


def api_path_of(channel: str) -> str:
    """The path of the channel's messages in the HTTP API."""
    if channel.startswith(ROOM):
        return f"/api/v1/rooms/{channel.removeprefix(ROOM)}/messages"
    return f"/api/v1/agents/{channel.removeprefix(AGENT)}/messages"


class Listener(Connection):
    """`home`: the channel of its endpoint; None: it sends `join`. `asked`: the position from which to recover."""

    def __init__(
        self,
        record: Record,
        registry: ConnectionRegistry,
        node: NodeProcess,
        *,
        client: str,
        user: str,
        home: str | None = None,
        asked: Position | None = None,
        wire: WireFormat = WireFormat.JSON,
        small_buffers: bool = False,
    ) -> None:
        self.node = node.name
        self.client = client
        self.subscriptions: dict[str, Subscription] = {}
        """Current subscriptions by channel. `left`: ended ones."""
        self.left: dict[str, Subscription] = {}
        self._record = record
        self._home = home
        self._asked = asked
        self._joining: dict[int, tuple[str, Position | None]] = {}
        self._leaving: dict[int, str] = {}
        self._answers: dict[int, asyncio.Future[Answer | None]] = {}
        self._commands = 0
        query = {"user_id": user, "username": user}
        if asked is not None:
            query |= {"epoch": asked.epoch, "offset": str(asked.offset)}
        path = "/ws" if home is None else path_of(home)
        super().__init__(
            registry, port=node.port, path=f"{path}?{urlencode(query)}", wire=wire, small_buffers=small_buffers
        )

    # ---- commands

    async def call(self, command: str, patience: float, **fields: Any) -> Answer | None:
        """Send a command; returns its `ok` or `error`, or None if the connection ended or `patience` seconds passed."""
        if not self.is_live:
            return None
        self._commands += 1
        return await self._answer(self._commands, command, patience, fields)

    async def _answer(self, id: int, command: str, patience: float, fields: dict[str, Any]) -> Answer | None:
        answer: asyncio.Future[Answer | None] = self._loop.create_future()
        self._answers[id] = answer
        self.send(type=command, id=id, **fields)
        try:
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._answers.pop(id, None)

    async def join(self, room: str, asked: Position | None, patience: float) -> bool:
        """Returns whether it has joined. The subscription begins with the answer."""
        self._commands += 1
        self._joining[self._commands] = (room, asked)
        recover = {} if asked is None else {"recover": asked._asdict()}
        await self._answer(self._commands, "join", patience, {"room": room.removeprefix(ROOM), **recover})
        return room in self.subscriptions

    async def leave(self, room: str, patience: float) -> None:
        """The subscription ends with the answer."""
        self._commands += 1
        self._leaving[self._commands] = room
        await self._answer(self._commands, "leave", patience, {"room": room.removeprefix(ROOM)})

    def may_use(self, channel: str) -> bool:
        """Whether it is in the channel, and has not sent `leave`: a command behind that is `not_joined`."""
        return channel in self.subscriptions and channel not in self._leaving.values()

    async def publish(self, post: Post, patience: float) -> Answer | None:
        room = {"room": post.channel.removeprefix(ROOM)} if self._home is None else {}
        key = {} if post.key is None else {"key": post.key}
        content = content_of(post.number, post.size)
        return await self.call("message", patience, content=content, **room, **key)

    async def read(self, channel: str, window: Window, patience: float) -> Page | None:
        asked_at = self.now()
        room = {"room": channel.removeprefix(ROOM)} if self._home is None else {}
        answer = await self.call("history", patience, **window.as_fields(), **room)
        if answer is None or answer[1]["type"] != "ok":
            return None
        return page_of(answer[1], channel, self.node, asked_at, window)

    # ---- frames

    def on_welcome(self, at: float, frame: dict[str, Any]) -> None:
        if self._home is not None:
            self._enter(self._home, at, frame, self._asked)

    def _enter(self, channel: str, at: float, frame: dict[str, Any], asked: Position | None) -> None:
        self.subscriptions[channel] = self._record.add_subscription(at, self.client, channel, self.node, asked, frame)

    def on_frame(self, at: float, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "message":
            if (subscription := self._subscription(at, frame)) is not None:
                self._record.add_message(subscription, at, frame)
        elif kind == "resync":
            if (subscription := self._subscription(at, frame)) is not None:
                self._record.add_resync(subscription, at, frame)
        elif "id" in frame:
            self._answered(at, frame["id"], frame)
        elif kind == "error":
            self._record.add_unexpected(at, self.client, f"an error without a command: {frame}")

    def _subscription(self, at: float, frame: dict[str, Any]) -> Subscription | None:
        channel = ROOM + frame["room"] if "room" in frame else AGENT + frame["agent_id"]
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            self._record.add_unexpected(
                at, self.client, f"{frame['type']} of {channel} without being in it, on {self.node}"
            )
        return subscription

    def _answered(self, at: float, id: int, frame: dict[str, Any]) -> None:
        # Synchronous, not in a task: the next frame of the same read may be a message.
        joining, leaving = self._joining.pop(id, None), self._leaving.pop(id, None)
        if frame["type"] == "error":
            if frame["code"] != "unavailable":
                self._record.add_unexpected(at, self.client, f"{frame['code']}: {frame['message']}")
        elif joining is not None:
            self._enter(joining[0], at, frame, joining[1])
        elif leaving is not None:
            subscription = self.subscriptions.pop(leaving)
            subscription.ended_at = at
            self.left[leaving] = subscription
        waiting = self._answers.get(id)
        if waiting is not None and not waiting.done():
            waiting.set_result((at, frame))

    def on_unexpected(self, at: float, what: str) -> None:
        self._record.add_unexpected(at, self.client, what)

    def on_end(self, at: float, end: End, code: int | None, retry_after: float | None) -> None:
        for subscription in self.subscriptions.values():
            subscription.ended_at = at
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_result(None)


def page_of(answer: dict[str, Any], channel: str, node: str, asked_at: float, window: Window) -> Page | None:
    """From an answer to `history` or of the HTTP API; None if the answer has no position."""
    head, entries = Position.of(answer), Messages()
    for message in answer["messages"]:
        entries.add(asked_at, message)
    return None if head is None else Page(channel, node, asked_at, window, head, entries, answer.get("more", False))
