"""`tannoy.Publisher`: what a back end publishes, from any thread, without an event loop of its own."""

import os
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self, Unpack

from ..shared.background_loop import BackgroundLoop
from ..shared.publication import Position
from .async_publisher import AsyncPublisher
from .async_stream import AsyncStream
from .errors import PublisherClosed, PublisherForked, PublisherNotOpen
from .messages import MessageFields
from .settings import PublisherOptions
from .stream import Stream


class Publisher:
    """Publishes to rooms, agents, sessions and users: `with Publisher("redis://…") as publisher:`.

    An AsyncPublisher, whose arguments, results and errors it has, in a thread of its own. Any thread may call it; each
    call returns when the cluster has confirmed. In a process that was forked after `open`, `open` has to be called
    again.
    """

    def __init__(self, url: str | None = None, **options: Unpack[PublisherOptions]) -> None:
        self._publisher = AsyncPublisher(url, **options)
        self._background: BackgroundLoop | None = None
        self._was_closed = False
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._inherited: list[BackgroundLoop] = []  # kept, since to delete them would close what they have open

    # ---- life

    def open(self) -> Self:
        """Connect, unless it is open already: so every call may begin with it. Raises PublishError."""
        self._leave_inherited()
        with self._lock:
            if self._background is None:
                background = BackgroundLoop("tannoy-publisher", PublisherClosed)
                try:
                    background.call(self._publisher.open())
                except BaseException:
                    background.stop()
                    raise
                self._background = background
        return self

    def close(self) -> None:
        """End the connections and the thread. What other threads are publishing fails with PublisherClosed."""
        self._leave_inherited()
        with self._lock:
            background, self._background, self._was_closed = self._background, None, True
            if background is not None:
                try:
                    background.call(self._publisher.close())
                finally:
                    background.stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _leave_inherited(self) -> None:
        """In a process that was forked: the thread is not there, and the lock may be held for ever."""
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.Lock()
            if self._background is not None:
                self._inherited.append(self._background)
                self._background = None

    def _use(self) -> BackgroundLoop:
        """Raises PublisherMisused."""
        background = self._background
        if background is None:
            raise PublisherClosed if self._was_closed else PublisherNotOpen("Publisher")
        if self._pid != os.getpid():
            raise PublisherForked("Publisher", self._pid)
        return background

    # ---- messages

    def to_room(
        self,
        room: str,
        content: object,
        *,
        user_id: str | int | None = None,
        username: str | None = None,
        key: str | None = None,
        exclude_session: str | None = None,
    ) -> Position | None:
        """Publish to all sessions in a room but `exclude_session`; once per `user_id` and `key`, within five minutes.

        The result is its position in the room's history: of a `key` that was seen before, that of the earlier message;
        None without history.
        """
        return self._use().call(
            self._publisher.to_room(
                room, content, user_id=user_id, username=username, key=key, exclude_session=exclude_session
            )
        )

    def to_agent(
        self,
        agent_id: str,
        content: object,
        *,
        user_id: str | int | None = None,
        username: str | None = None,
        key: str | None = None,
        exclude_session: str | None = None,
    ) -> Position | None:
        """Publish to all sessions of an agent; all else is as in `to_room`."""
        return self._use().call(
            self._publisher.to_agent(
                agent_id, content, user_id=user_id, username=username, key=key, exclude_session=exclude_session
            )
        )

    def to_session(
        self,
        agent_id: str,
        session_id: str,
        content: object,
        *,
        user_id: str | int | None = None,
        username: str | None = None,
    ) -> int:
        """Send to one session of an agent: 1 if it got it, 0 if no node has it. No history keeps it."""
        return self._use().call(
            self._publisher.to_session(agent_id, session_id, content, user_id=user_id, username=username)
        )

    def to_user(
        self, to: str | int, content: object, *, user_id: str | int | None = None, username: str | None = None
    ) -> int:
        """Send to all sessions of the user `to`, as `private`: how many got it. `user_id` is the author."""
        return self._use().call(self._publisher.to_user(to, content, user_id=user_id, username=username))

    def stream(
        self,
        *,
        agent: str | None = None,
        room: str | None = None,
        stream_id: str | None = None,
        meta: object = None,
        user_id: str | int | None = None,
        username: str | None = None,
    ) -> Stream:
        """A text that grows on the channel of an `agent` or in a `room`: `with publisher.stream(…) as stream:`.

        It is begun and ended by the block. Without a `stream_id` it has a new one.
        """
        background, publisher = self._use(), self._publisher

        async def prepare() -> AsyncStream:
            return publisher.stream(
                agent=agent, room=room, stream_id=stream_id, meta=meta, user_id=user_id, username=username
            )

        return Stream(background, background.call(prepare()))

    def many(self, messages: Iterable[MessageFields]) -> list[Position | None]:
        """Publish many at once, each to a `room` or an `agent_id`, in order. A result each, as those of `to_room`.

        Raises ManyFailed if some have failed: its `results` says which, and the others are published.
        """
        return self._use().call(self._publisher.many(list(messages)))
