"""A session that is kept open: connection after connection."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from ..shared.codes import CloseCode
from .catch_up import Frame
from .channel_state import ChannelState
from .errors import ClientError, ClientMisused, ConnectionLost, NoAnswer, TokenExpired
from .event_queue import EventReaders
from .events import Connected, Event, Reconnecting
from .frame_exchange import FrameExchange
from .options import Options
from .retries import Retries
from .session import Session
from .tokens import TokenSource
from .websocket import CLOSE_SECONDS, open_websocket


class Reconnector:
    """One session of the endpoint `path`, opened again whenever its connection is lost.

    `events` are told what happens. `on_live` is called behind each `welcome`, and `on_presence_missed` when the users
    of a room are not known any more: both may start tasks. `session_id` names the session of an agent.
    """

    __slots__ = (
        "_changed",
        "_events",
        "_last_loss",
        "_loop",
        "_on_live",
        "_other_user",
        "_path",
        "_retries",
        "_session_id",
        "_tasks",
        "_tokens",
        "_user_id",
        "_was_live",
        "end",
        "frames",
        "options",
        "session",
        "token",
    )

    def __init__(
        self,
        options: Options,
        tokens: TokenSource,
        path: str,
        *,
        events: EventReaders,
        on_live: Callable[[Frame], None],
        on_presence_missed: Callable[[ChannelState], None],
        home: ChannelState | None = None,
        session_id: str | None = None,
    ) -> None:
        self.options = options
        self.end: ClientError | None = None
        """Why there is no further connection; None while there is."""
        self.token: str | None = None
        """That of the present connection."""
        self.session = Session(
            send=lambda command: self.frames.send(command),
            on_event=events.tell,
            on_live=self._handle_live,
            on_presence_missed=on_presence_missed,
            home=home,
        )
        self.frames = FrameExchange(options, self.session)
        self._tokens = tokens
        self._path = path
        self._events = events
        self._on_live = on_live
        self._loop = asyncio.get_running_loop()
        self._user_id = options.user_id
        self._session_id = session_id
        self._other_user: ClientError | None = None
        self._retries = Retries(random.uniform, max_attempts=options.max_attempts)
        self._changed: asyncio.Future[None] | None = None
        self._last_loss = ""
        self._was_live = False
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, event: Event) -> None:
        """Tell an event to those who iterate over them."""
        self._events.tell(event)

    # ---- life

    async def open(self) -> None:
        """Wait for the first `welcome`. Raises ClientError, of the kind that says why there is none."""
        self.start_task(self._run())
        try:
            async with asyncio.timeout(self.options.connect_timeout):
                await self.wait_until_usable(None)
        except TimeoutError as error:
            raise NoAnswer(f"no session at {self.options.url}: {self._last_loss or 'no answer'}") from error

    async def close(self) -> None:
        """Close the connection, within CLOSE_SECONDS, and end all that waits for it."""
        self._finish(ClientMisused("the client is closed"), told=None)
        if self._tasks:
            await asyncio.wait(self._tasks)
        socket, self.frames.socket = self.frames.socket, None
        if socket is not None:
            socket.set_reading(True)
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await socket.close()
            except TimeoutError:
                socket.transport.abort()

    def start_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run it until the client is closed. What it raises ends the client."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._handle_task_done)
        return task

    def _handle_task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if not isinstance(error, ClientError):
            cause, error = error, ClientError(f"the client failed, which is a bug: {error!r}")
            error.__cause__ = cause
        self._finish(error, told=error)

    def _finish(self, end: ClientError, *, told: ClientError | None) -> None:
        """There is no further connection. `told`: what the readers of channels get; None: they just end."""
        if self.end is not None:
            return
        self.end = end
        for task in self._tasks:
            task.cancel()
        for channel in self.session.channels:
            channel.finish(told)
        self._events.finish(told)
        self.session.end()  # commands that wait for an answer get this end instead
        self.notify()
        if told is not None:
            self.frames.fail(str(told))

    def limit_attempts(self, max_attempts: int | None) -> None:
        """From now on it gives up after so many failed connections in a row; None: never."""
        self._retries.max_attempts = max_attempts

    # ---- connections

    async def _run(self) -> None:
        while True:
            began = self._loop.time()
            lost = await self._run_connection()
            self._last_loss = str(lost)
            delay = self._retries.next_delay(lost, self._loop.time() - began)
            self._events.tell(Reconnecting(str(lost), lost.code, delay))
            await asyncio.sleep(delay)

    async def _run_connection(self) -> ConnectionLost:
        home, options = self.session.home, self.options
        position = None if home is None else home.recover_from
        try:
            self.token = await self._tokens.get()
            # Without a token a guest has to keep its name; with one the token names the user.
            user_id = options.user_id if self._tokens.exists else self._user_id
            address = options.build_address(
                self._path, user_id=user_id, session_id=self._session_id, recover_from=position
            )
            socket = await open_websocket(
                address, wire=options.wire, token=self.token, ssl=options.ssl, proxy=options.proxy
            )
        except ConnectionLost as refused:
            return refused
        lost = await self.frames.serve(socket)
        if self._other_user is not None:
            raise self._other_user
        if lost.code == CloseCode.TOKEN_EXPIRED:
            if not self._tokens.is_renewable:
                raise TokenExpired(str(lost), is_final=True, code=lost.code) from lost
            self._tokens.discard(self.token)
        return lost

    def _handle_live(self, welcome: Frame) -> None:
        user_id: str = welcome["user_id"]
        if self._user_id is not None and user_id != self._user_id:
            # Keys of messages hold for one author: repeating them as another one would publish them twice.
            self._other_user = ClientError(
                f"the session was of user {self._user_id!r}, the new token is of {user_id!r}"
            )
            self.frames.fail("another user")
            return
        self._user_id = user_id
        if self.session.home is not None:
            self._session_id = welcome["session_id"]  # the next connection replaces this one, if it is still there
        self.frames.expect_pings(float(welcome["ping_interval"]))
        self._events.tell(Connected(welcome["node"], welcome["session_id"], is_first=not self._was_live))
        self._was_live = True
        self._on_live(welcome)
        self.notify()

    # ---- waiting

    async def wait_until_usable(self, channel: ChannelState | None) -> None:
        """Wait until a command can be sent, in `channel` if one is given. Raises the error that has ended either."""
        while True:
            if self._loop is not asyncio.get_running_loop():
                raise ClientMisused("the client belongs to another event loop")
            if channel is not None and channel.has_ended:
                raise channel.end or self.end or ClientMisused(f"{channel.name} was left")
            if self.end is not None:
                raise self.end
            socket = self.frames.socket
            if socket is not None and self.session.is_live and (channel is None or channel.is_joined):
                if not socket.is_writing_paused:
                    return
                await socket.wait_writable()
            else:
                if self._changed is None:
                    self._changed = self._loop.create_future()
                await asyncio.shield(self._changed)

    def notify(self) -> None:
        """Something has changed for which `wait_until_usable` waits."""
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None
