"""The commands of a session about which the application is asked: what it says, and which rooms it joins.

While the application is asked, further commands of the session wait, so their order is kept. A session without such
hooks has the CommandLoop itself.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from ...shared.errors import Refused, internal_error
from ..hooks.hooks import LiveSession
from ..hooks.session_hooks import SessionHooks
from ..protocols.effects import Effect, JoinChannel, Publish, SendToUser
from .command_loop import CommandLoop
from .command_owner import CommandOwner
from .context import CommandContext

Asked = tuple[Effect, int]
"""The effect that the application lets through, and the size of its command in bytes."""


class HookedCommandLoop(CommandLoop):
    """A part of a connection."""

    __slots__ = ("_asked", "_hooks", "_live")

    def __init__(
        self, connection: CommandOwner, context: CommandContext, hooks: SessionHooks, live: LiveSession
    ) -> None:
        super().__init__(connection, context)
        self._hooks = hooks
        self._live = live
        self._asked: asyncio.Task[Asked] | None = None

    @property
    def _has_to_wait(self) -> bool:
        return self._asked is not None or super()._has_to_wait

    def discard_waiting(self) -> None:
        super().discard_waiting()
        if self._asked is not None:
            self._asked.cancel()

    def _begin(self, effect: Effect, size: int) -> None:
        match effect:
            case Publish() | SendToUser() if self._hooks.hooks.on_message is not None:
                self._ask(self._hooks.check_message(self._live, effect, size), effect)
            case JoinChannel() if self._hooks.hooks.authorize is not None:
                self._ask(self._authorize(effect, size), effect)
            case _:
                super()._begin(effect, size)

    async def _authorize(self, effect: JoinChannel, size: int) -> Asked:
        await self._hooks.authorize(self._live, effect.channel, observe=effect.observe)
        return effect, size

    def _ask(self, asked: Coroutine[Any, Any, Asked], effect: Publish | SendToUser | JoinChannel) -> None:
        self._asked = asyncio.get_running_loop().create_task(asked, name="tannoy-ask")
        self._asked.add_done_callback(partial(self._go_on, effect))

    def _go_on(self, effect: Publish | SendToUser | JoinChannel, asked: "asyncio.Task[Asked]") -> None:
        self._asked = None
        if asked.cancelled():
            return
        error = asked.exception()
        if not self._connection.is_open or not self._connection.may_serve:
            return
        if error is None:
            super()._begin(*asked.result())
        else:
            self.refuse(effect.id, error if isinstance(error, Refused) else internal_error())
        self.resume()
        if error is not None and not isinstance(error, Refused):
            raise error  # a fault of ours: the event loop logs it
