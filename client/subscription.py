"""What `tannoy watch` shows of a room or an agent: each message once and in order, over one connection after another.

A room is observed: who watches it is not listed there. `Reconnector` and `Channel` do the work; here their messages,
the other frames and sentences about the connection become one sequence.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from uuid import uuid4

from ..shared.names import parse_agent, parse_room
from ..shared.protocol.codec import JSON
from ..shared.publication import Position
from .calls import join_room
from .catch_up import Frame, Missing
from .channel import Channel
from .channel_state import ChannelState
from .errors import ClientError, ConnectionLost, SessionEnded
from .event_queue import EventQueue, EventReaders
from .events import Connected, Event, EventsMissed, Reconnecting, Rejoined
from .options import SlowReader, check_options
from .proxies import describe_way, find_proxy
from .reconnector import Reconnector
from .room import Room
from .targets import check_url, websocket_path
from .tokens import TokenSource

QUEUE_SIZE = 1000
"""Messages that wait to be printed."""
COMMAND_SECONDS = 30.0
"""Seconds that connecting, joining and reading a page may take."""
_NOT_SHOWN = ("message", "ok", "pong", "ping")
"""Frames that are shown as messages of the channel, or not at all."""


@dataclass(frozen=True, slots=True)
class StatusLine:
    """A sentence about the state of the connection, not about a message."""

    text: str


@dataclass(frozen=True, slots=True)
class StartFrom:
    """Where to start: after the offset `since`, or with the last `count` messages."""

    since: int | None = None
    count: int = 0


class Subscription:
    """One channel, over one connection after another."""

    def __init__(self, url: str, target: str, start: StartFrom, *, reconnects: bool = True) -> None:
        """`target` is `room:NAME` or `agent:ID`. Raises ClientError, BadRequest, BadName."""
        self._url = check_url(url)
        self._way = describe_way(find_proxy(self._url))
        self._target = target
        self._path = websocket_path(target)
        self._start = start
        self._reconnects = reconnects
        self._node = ""

    async def frames(self) -> AsyncGenerator[Frame | StatusLine]:
        """All frames, each message once and in order, and a StatusLine where the state of the connection changes.

        Raises ClientError if the first connection fails, if the node says not to reconnect, and, without
        `reconnects`, when the connection is lost.
        """
        news = _News()
        link, channel = self._make_link(news)
        try:
            yield StatusLine(await self._open(link, channel))
            for line in await self._find_start(channel):
                yield line
            async with aclosing(_merge(_read(channel), news.queue)) as items:
                async for item in items:
                    shown = self._show(item)
                    if shown is not None:
                        yield shown
        except SessionEnded as ended:
            raise ClientError(f"the cluster closed the connection for good: {ended}") from ended
        except ClientError as error:
            lost = error.__cause__
            raise ClientError(f"connection lost: {lost}") if isinstance(lost, ConnectionLost) else error from error
        finally:
            await link.close()

    def _make_link(self, news: "_News") -> tuple[Reconnector, Channel]:
        options = check_options(
            self._url,
            user_id=f"watch-{uuid4().hex[:8]}",
            username="tannoy watch",
            encoding=JSON.name,
            queue_size=QUEUE_SIZE,
            slow_reader=SlowReader.PAUSE,
            max_attempts=1,  # of the first connection
            timeout=COMMAND_SECONDS,
            connect_timeout=COMMAND_SECONDS,
            ssl=None,
        )
        kind, _, name = self._target.partition(":")
        is_room = kind == "room"
        state = ChannelState(
            parse_room(name) if is_room else parse_agent(name), options.queue_size, is_observed=is_room
        )

        def join(_: Frame) -> None:
            if is_room:
                link.start_task(join_room(link, state))

        link = Reconnector(
            options,
            TokenSource(None),
            "/ws" if is_room else self._path,
            events=news,
            on_live=join,
            on_presence_missed=lambda room: None,
            home=None if is_room else state,
        )
        if is_room:
            link.session.rooms[state.name] = state
        link.session.on_frame = news.add_frame
        return link, Room(link, state) if is_room else Channel(link, state)

    async def _open(self, link: Reconnector, channel: Channel) -> str:
        """Connect and join. Raises ClientError if the first attempt fails."""
        try:
            await link.open()
        except ClientError as error:
            lost = error.__cause__ if isinstance(error.__cause__, ConnectionLost) else error
            raise ClientError(f"can't connect to {self._url}{self._way}: {lost}. Is a cluster running there?") from None
        async with asyncio.timeout(COMMAND_SECONDS):
            await link.wait_until_usable(channel.state)
        if self._reconnects:
            link.limit_attempts(None)
        self._node = link.session.node
        return f"watching {self._target} on {self._node}"

    async def _find_start(self, channel: Channel) -> list[StatusLine]:
        """Find the position to start from. Messages after it and before the head are read from the history."""
        head, since = channel.position, self._start.since
        if head is None:
            text = "this cluster keeps no history: only new messages can be shown"
            return [] if self._start == StartFrom() else [StatusLine(text)]
        if since is None:
            await self._start_near(channel, head)
            return []
        channel.start_after(Position(head.epoch, min(since, head.offset)))
        if since <= head.offset:
            return []
        return [StatusLine(f"offset {since} is not reached yet: epoch {head.epoch} is at offset {head.offset}")]

    async def _start_near(self, channel: Channel, head: Position) -> None:
        """Start at the head, or before it by the wanted number of messages, as far as they are kept."""
        count = self._start.count
        page = await channel.request_history(since=max(0, head.offset - max(1, count)), limit=1)
        kept: list[Frame] = page["messages"] if page and page["epoch"] == head.epoch else []
        if kept and count:
            channel.start_after(Position(head.epoch, kept[0]["offset"] - 1))
        else:
            channel.start_after(head, [message for message in kept if message["offset"] <= head.offset])

    def _show(self, item: "_Item") -> Frame | StatusLine | None:
        """None: nothing is shown of it."""
        match item:
            case Missing():
                return StatusLine(str(item))
            case Connected():
                self._node = item.node
            case Reconnecting():
                return StatusLine(f"connection lost ({item.reason}), reconnecting in {item.delay:.1f} s")
            case Rejoined(recovered=None):
                return StatusLine(f"reconnected to {self._node}")
            case Rejoined(recovered=count):
                messages = "1 message" if count == 1 else f"{count} messages"
                return StatusLine(f"reconnected to {self._node}: {messages} published meanwhile")
            case EventsMissed():
                return StatusLine(f"{item.count} events are not shown: they came faster than they were printed")
            case dict():
                return item
            case _:
                return None  # what is shown as the frame that told it
        return None


_Item = Frame | Missing | Event


class _News(EventReaders):
    """All that is told besides messages, with the frames that told it."""

    __slots__ = ("queue",)

    def __init__(self) -> None:
        super().__init__()
        self.queue: EventQueue[Frame | Event] = EventQueue()

    def tell(self, event: Event) -> None:
        self.queue.add(event)

    def finish(self, end: ClientError | None) -> None:
        self.queue.finish(end)

    def add_frame(self, frame: Frame) -> None:
        if frame["type"] not in _NOT_SHOWN:
            self.queue.add(frame)


async def _read(channel: Channel) -> AsyncGenerator[Frame | Missing]:
    with suppress(StopAsyncIteration):
        while True:
            yield await channel.next_frame()


async def _merge(*sources: AsyncIterator[_Item]) -> AsyncGenerator[_Item]:
    """The items of all sources as they come. When all have ended, what one has raised is raised."""

    async def take(source: AsyncIterator[_Item]) -> _Item | None:
        return await anext(source, None)

    waiting = {asyncio.ensure_future(take(source)): source for source in sources}
    failure: ClientError | None = None
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = waiting.pop(task)
                try:
                    item = task.result()
                except ClientError as error:
                    failure = error
                    continue
                if item is not None:
                    waiting[asyncio.ensure_future(take(source))] = source
                    yield item
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    if failure is not None:
        raise failure
