"""What a room and an agent have in common: messages in, messages out, and the history."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self
from uuid import uuid4

from ..shared.publication import Position
from .calls import call
from .catch_up import Frame, Missing, position_of
from .channel_state import ChannelState
from .errors import ClientError, ClientMisused
from .inbox import Missed
from .messages import Gap, Message, parse_message
from .reconnector import Reconnector

_HISTORY_SECONDS = 60.0
"""Seconds in which a page of missed messages has to be read, over reconnections; what was not counts as missing."""


class Channel:
    """`async for message in channel`: each Message once and in order.

    Where messages may be missing, the events have a Gap; `items` yields it in its place too. The iteration ends when
    the channel was left or the client is closed, and raises what ended either otherwise. One at a time may iterate.
    """

    __slots__ = ("__weakref__", "_is_being_read", "_link", "_missed", "_missed_head", "_waiter", "name", "state")

    def __init__(self, link: Reconnector, state: ChannelState) -> None:
        self.name = state.name
        self.state = state
        state.on_change = self._wake
        self._link = link
        self._waiter: asyncio.Future[None] | None = None
        self._missed: AsyncIterator[Frame | Missing] | None = None
        self._missed_head: Missed | None = None
        self._is_being_read = False

    @property
    def position(self) -> Position | None:
        """Up to where it was read. None without history, and before it was joined."""
        return self.state.reading.position

    # ---- out

    async def send(self, content: Any, *, key: str | None = None, timeout: float | None = None) -> Position | None:
        """Publish `content`, any JSON value; returns its position, or None without history.

        While the client is away it waits. What is not confirmed is sent again with the same key, so it is published
        once; `key` makes that hold beyond this call, for five minutes. `timeout` is in seconds. Raises CommandRefused,
        Unconfirmed, NoAnswer.
        """
        command = self._command("message", content=content, key=key or uuid4().hex)
        return position_of({"epoch": None} | await self._call(command, timeout))

    async def stop_stream(self, stream_id: str, *, timeout: float | None = None) -> None:
        """Ask the producer of a stream to stop. Raises as `send` does."""
        await self._call(self._command("stop", stream_id=stream_id), timeout)

    async def history(
        self,
        *,
        limit: int = 100,
        since: int | None = None,
        before: int | None = None,
        timeout: float | None = None,
    ) -> list[Message]:
        """Read at most `limit` (1 to 300) messages: the first after offset `since`, or the last, before `before`.

        An answer is bounded in bytes too, so it may have fewer. Raises as `send` does.
        """
        bounds = {"since": since, "before": before}
        given = {name: value for name, value in bounds.items() if value is not None}
        answer = await self._call(self._command("history", limit=limit, **given), timeout)
        return [parse_message(message) for message in answer["messages"]]

    def _command(self, kind: str, **fields: Any) -> Frame:
        return {"type": kind, **fields}

    async def _call(self, command: Frame, timeout: float | None, *, repeats: bool = True) -> Frame:
        seconds = self._link.options.timeout if timeout is None else timeout
        return await call(self._link, command, timeout=seconds, channel=self.state, repeats=repeats)

    # ---- in

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            item = await self.next_item()
            if isinstance(item, Message):
                return item

    def items(self) -> "Items":
        """`async for item in channel.items()`: the messages, and a Gap wherever some may be missing between them."""
        return Items(self)

    async def next_item(self) -> Message | Gap:
        """The next one of `items`. Raises as the iteration does."""
        item = await self.next_frame()
        if not isinstance(item, Missing):
            return parse_message(item)
        gap = Gap(self.name, item.after, item.until)
        self._link.tell(gap)
        return gap

    async def next_frame(self) -> Frame | Missing:
        """The next one of `items`, as the frame of a message or the description of a gap. Raises as it does."""
        if self._is_being_read:
            raise ClientMisused(f"{self.name} is being read already: one at a time may iterate over it")
        self._is_being_read = self.state.is_read = self.state.may_pause = True
        try:
            return await self._next_frame()
        finally:
            self._is_being_read = False

    def start_after(self, position: Position, known: Sequence[Frame] = ()) -> None:
        """Read on after `position`, instead of after that at which the channel was joined.

        `known` are messages before it, which are not read again. Call it before anything was read.
        """
        head = self.position
        self.state.reading.start_after(position, known)
        self._missed_head = Missed(head)

    async def _next_frame(self) -> Frame | Missing:
        while True:
            if self._missed_head is not None:
                item = await self._next_missed(self._missed_head)
                if item is not None:
                    return item
                self._missed_head = None
            entry = self.state.take()
            self._link.frames.has_read(self.state)
            if isinstance(entry, Missed):
                self._missed_head = entry
            elif entry is not None:
                return entry
            elif self.state.has_ended:
                raise self.state.end or StopAsyncIteration
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter

    async def _next_missed(self, missed: Missed) -> Frame | Missing | None:
        """The next message that was missed, from the history; None behind the last one.

        If the caller gives up while a page is read, the reading position tells the next call where to go on.
        """
        items = self._missed = self._missed or self.state.reading.read_missed(missed.head, self.request_history)
        try:
            item = await anext(items, None)
        except BaseException:
            self._missed = None
            raise
        if item is None:
            self._missed = None
        return item

    async def request_history(self, **fields: int) -> Frame | None:
        """The `ok` frame of a `history` command, or None if it was refused, or not answered in time."""
        try:
            return await self._call(self._command("history", **fields), _HISTORY_SECONDS)
        except ClientError:
            return None  # becomes a Gap

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Items:
    """What `Channel.items` returns."""

    __slots__ = ("_channel",)

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Gap:
        return await self._channel.next_item()
