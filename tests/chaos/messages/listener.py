"""A client's socket that hears channels, speaks on them and reads their history, and writes all of it down."""

import asyncio
from typing import Any
from urllib.parse import urlencode

from tests.chaos.harness.connection import Connection, Switchboard, WireFormat
from tests.chaos.harness.history import End
from tests.chaos.messages.record import Messages, Page, Place, Post, Record, Stay, Window, content_of
from tests.support.cluster import NodeProcess

ROOM, AGENT = "room:", "agent:"
Answer = tuple[float, dict[str, Any]]
"""When it came, and the frame."""


def path_of(channel: str) -> str:
    """The endpoint that hears it."""
    if channel.startswith(ROOM):
        return "/ws/chat/" + channel.removeprefix(ROOM)
    return "/ws/agents/" + channel.removeprefix(AGENT)


def api_path_of(channel: str) -> str:
    """Where its messages are, over HTTP."""
    if channel.startswith(ROOM):
        return f"/api/v1/rooms/{channel.removeprefix(ROOM)}/messages"
    return f"/api/v1/agents/{channel.removeprefix(AGENT)}/messages"


class Listener(Connection):
    """`home`: the channel of its endpoint; None: it `join`s rooms. `asked`: the place from which to be caught up."""

    def __init__(
        self,
        record: Record,
        switchboard: Switchboard,
        node: NodeProcess,
        *,
        client: str,
        user: str,
        home: str | None = None,
        asked: Place | None = None,
        wire: WireFormat = WireFormat.JSON,
        small: bool = False,
    ) -> None:
        self.node = node.name
        self.client = client
        self.stays: dict[str, Stay] = {}
        """By channel. In `left` are those that it left again."""
        self.left: dict[str, Stay] = {}
        self._record = record
        self._home = home
        self._asked = asked
        self._joining: dict[int, tuple[str, Place | None]] = {}
        self._leaving: dict[int, str] = {}
        self._answers: dict[int, asyncio.Future[Answer | None]] = {}
        self._commands = 0
        query = {"user_id": user, "username": user}
        if asked is not None:
            query |= {"epoch": asked.epoch, "offset": str(asked.offset)}
        path = "/ws" if home is None else path_of(home)
        super().__init__(switchboard, port=node.port, path=f"{path}?{urlencode(query)}", wire=wire, small=small)

    # ---- what it says

    async def call(self, command: str, patience: float, **fields: Any) -> Answer | None:
        """The answer, be it `ok` or `error`; None if none came: the socket ended, or it took too long."""
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

    async def join(self, room: str, asked: Place | None, patience: float) -> bool:
        """Whether it is in now. Its stay begins with the answer."""
        self._commands += 1
        self._joining[self._commands] = (room, asked)
        recover = {} if asked is None else {"recover": asked._asdict()}
        await self._answer(self._commands, "join", patience, {"room": room.removeprefix(ROOM), **recover})
        return room in self.stays

    async def exit(self, room: str, patience: float) -> None:
        """Its stay ends with the answer."""
        self._commands += 1
        self._leaving[self._commands] = room
        await self._answer(self._commands, "leave", patience, {"room": room.removeprefix(ROOM)})

    async def say(self, post: Post, patience: float) -> Answer | None:
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

    # ---- what it hears

    def welcomed(self, at: float, frame: dict[str, Any]) -> None:
        if self._home is not None:
            self._enter(self._home, at, frame, self._asked)

    def _enter(self, channel: str, at: float, frame: dict[str, Any], asked: Place | None) -> None:
        self.stays[channel] = self._record.entered(at, self.client, channel, self.node, asked, frame)

    def took(self, at: float, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "message":
            if (stay := self._stay(at, frame)) is not None:
                self._record.heard(stay, at, frame)
        elif kind == "resync":
            if (stay := self._stay(at, frame)) is not None:
                self._record.resynced(stay, at, frame)
        elif "id" in frame:
            self._answered(at, frame["id"], frame)
        elif kind == "error":
            self._record.stray(at, self.client, f"an error that nobody asked for: {frame}")

    def _stay(self, at: float, frame: dict[str, Any]) -> Stay | None:
        channel = ROOM + frame["room"] if "room" in frame else AGENT + frame["agent_id"]
        stay = self.stays.get(channel)
        if stay is None:
            self._record.stray(at, self.client, f"{frame['type']} of {channel} without being in it, on {self.node}")
        return stay

    def _answered(self, at: float, id: int, frame: dict[str, Any]) -> None:
        # Here, and not in a task: the next frame of the same read may be a message.
        joining, leaving = self._joining.pop(id, None), self._leaving.pop(id, None)
        if frame["type"] == "error":
            if frame["code"] != "unavailable":
                self._record.stray(at, self.client, f"{frame['code']}: {frame['message']}")
        elif joining is not None:
            self._enter(joining[0], at, frame, joining[1])
        elif leaving is not None:
            stay = self.stays.pop(leaving)
            stay.ended_at = at
            self.left[leaving] = stay
        waiting = self._answers.get(id)
        if waiting is not None and not waiting.done():
            waiting.set_result((at, frame))

    def out_of_turn(self, at: float, what: str) -> None:
        self._record.stray(at, self.client, what)

    def ended(self, at: float, end: End, code: int | None, retry_after: float | None) -> None:
        for stay in self.stays.values():
            stay.ended_at = at
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_result(None)


def page_of(told: dict[str, Any], channel: str, node: str, asked_at: float, window: Window) -> Page | None:
    """The answer to `history`, or of the HTTP API. None: no history is told of."""
    head, entries = Place.of(told), Messages()
    for message in told["messages"]:
        entries.add(asked_at, message)
    return None if head is None else Page(channel, node, asked_at, window, head, entries)
