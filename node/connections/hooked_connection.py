"""A connection of whose session the application is told: when it has opened, and when it has ended."""

import asyncio

from ...fanout.webhooks.session_events import OpenSession
from ...shared.clock import rfc3339
from ...shared.codes import CLOSE_RULES, CloseCode, DisconnectRule
from ...shared.errors import Refused
from ...shared.protocol.frames import ErrorFrame
from ...shared.protocol.presence_frames import PresenceSnapshot
from ...shared.publication import StartPosition
from ...shared.sessions import CloseOrder
from ..hooks.errors import Forbidden
from ..hooks.hooks import SessionEnd
from ..hooks.session_hooks import SessionHooks
from ..protocols.encoding import Encoding
from ..transports.base import ClientTransport
from .connection import Connection
from .context import ConnectionContext
from .hooked_commands import HookedCommandLoop
from .pending import Decided
from .session_log import CLOSED_BY_CLIENT, LOST


class HookedConnection(Connection):
    """`on_connect` is called behind `welcome`, and commands wait for it; `on_disconnect` if there was a `welcome`."""

    __slots__ = ("_hooks", "_live", "_told")

    def __init__(
        self,
        context: ConnectionContext,
        transport: ClientTransport,
        decided: Decided,
        encoding: Encoding,
        hooks: SessionHooks,
        *,
        is_accepted: bool = False,
    ) -> None:
        super().__init__(context, transport, decided.session, encoding, decided.live.address, is_accepted=is_accepted)
        self._hooks = hooks
        self._live = decided.live
        self._told: OpenSession | None = None  # as what the HTTP hooks know it
        self.commands = HookedCommandLoop(self, context.commands, hooks, decided.live)

    def welcome(self, snapshot: PresenceSnapshot | None, start: StartPosition) -> None:
        super().welcome(snapshot, start)
        if (events := self._hooks.session_events) is not None:
            self._told = events.opened(self._fields())
        if self._hooks.hooks.on_connect is not None and self.is_open:
            self._task = asyncio.get_running_loop().create_task(self._tell_connected(), name="tannoy-connected")

    def _fields(self) -> dict[str, object]:
        """What the HTTP hooks are told of the session."""
        live = self._live
        channel = {"room": live.room} if live.room is not None else {"agent_id": live.agent_id}
        return {
            "session_id": live.session_id,
            "user_id": live.user_id,
            "username": live.username,
            **{name: value for name, value in channel.items() if value is not None},
            "address": live.address,
            "connected_at": rfc3339(self.connected_at),
        }

    async def _tell_connected(self) -> None:
        refusal: Refused | None = None
        try:
            await self._hooks.connect(self._live)
        except Refused as refused:
            refusal = refused
        self.end_task()
        if not self.may_serve:
            return
        if refusal is not None:
            self.send(ErrorFrame(None, refusal.code, refusal.message, refusal.retry_after))
        if isinstance(refusal, Forbidden):
            self.close(CloseCode.FORBIDDEN)
        else:
            self.commands.resume()

    # ---- the end

    def close(
        self,
        code: CloseCode,
        *,
        retry_after: float | None = None,
        order: CloseOrder | None = None,
        rule: DisconnectRule | None = None,
    ) -> None:
        was_open = self.is_open
        super().close(code, retry_after=retry_after, order=order, rule=rule)
        if was_open:
            self._tell_ended(SessionEnd(int(code), CLOSE_RULES[code].reason))

    def on_closed(self, code: int | None = None) -> None:
        was_open = self.is_open
        super().on_closed(code)
        if was_open:
            self._tell_ended(SessionEnd(code, LOST if code is None else CLOSED_BY_CLIENT))

    def _tell_ended(self, end: SessionEnd) -> None:
        if self._hooks.endings is not None:
            self._hooks.endings.add(self._live, end)
        if self._hooks.session_events is not None and self._told is not None:
            self._hooks.session_events.closed(self._told, end.code, end.reason)
