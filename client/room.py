"""A room that a client has joined."""

import asyncio
from contextlib import suppress
from typing import Any

from .catch_up import Frame
from .channel import Channel
from .presence import Presence


class Room(Channel):
    """`async for message in room`, `room.send(…)`. It is joined again after each reconnect."""

    __slots__ = ()

    @property
    def presence(self) -> Presence:
        """Who is in the room, kept current. In a large room `users` has not all of them; `count` has."""
        return self.state.presence

    def typing(self) -> None:
        """Tell the others that this user is typing, if there is a connection."""
        if self.state.is_joined:
            self._link.frames.send(self._command("typing"))

    async def leave(self, *, timeout: float | None = None) -> None:
        """Leave the room. The iteration ends behind what was received."""
        if self.state.has_ended:
            return
        self._link.session.rooms.pop(self.name, None)
        is_joined = self.state.is_joined
        self.state.finish(None)
        if is_joined:
            seconds = self._link.options.timeout if timeout is None else timeout
            with suppress(TimeoutError):  # the connection is about to be lost, and the room left with it
                async with asyncio.timeout(seconds):
                    await self._link.frames.exchange(self._command("leave"))

    def _command(self, kind: str, **fields: Any) -> Frame:
        return {"type": kind, "room": self.name, **fields}
