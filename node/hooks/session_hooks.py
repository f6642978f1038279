"""The hooks of one application as a node calls them: each with bounds of its own, so that none holds up another."""

from collections.abc import Mapping
from functools import partial

import orjson
from starlette.requests import HTTPConnection
from starlette.types import Scope

from ...fanout.webhooks.session_events import SessionEvents
from ...shared.channels import Channel, ChannelKind
from ...shared.clock import Clock
from ...shared.errors import BadRequest
from ...shared.protocol.decoding import check_value
from ...shared.settings import Settings
from ..protocols.effects import Publish, SendToUser
from .endings import SessionEndings
from .errors import Forbidden, NotAuthenticated
from .hooks import ChannelRequest, ClientMessage, Hooks, LiveSession
from .identity import Identity
from .runner import HookRunner, HookStatistics


class SessionHooks:
    """Each call raises HookFailed or HookLate where its hook fails, and Forbidden where it refuses."""

    def __init__(
        self, hooks: Hooks, settings: Settings, clock: Clock, session_events: SessionEvents | None = None
    ) -> None:
        self.hooks = hooks
        self.session_events = session_events
        """What tells the HTTP hooks of sessions; None: nothing does."""
        self._message_max_bytes = settings.message_max_bytes
        names = ("authenticate", "authorize", "on_connect", "on_message", "on_disconnect")
        self._runners = {
            name: HookRunner(name, clock, timeout=hooks.timeout, at_once=hooks.at_once)
            for name in names
            if getattr(hooks, name) is not None
        }
        on_disconnect = hooks.on_disconnect
        self.endings = (
            None
            if on_disconnect is None
            else SessionEndings(on_disconnect, self._runners["on_disconnect"], at_once=hooks.at_once)
        )

    async def authenticate(self, scope: Scope) -> Identity:
        """Return who the client of a handshake is. Raises NotAuthenticated too."""
        hook, runner = self.hooks.authenticate, self._runners["authenticate"]
        assert hook is not None
        identity = await runner.run(partial(hook, HTTPConnection(scope)))
        if identity is None:
            raise NotAuthenticated
        if not _is_identity(identity):
            raise runner.record_failure(TypeError(f"Identity or None is allowed, not {identity!r:.200}"), None)
        return identity

    async def authorize(self, session: LiveSession, channel: Channel, *, observe: bool = False) -> None:
        """Let the application decide whether the session may use a room or an agent. True alone allows it."""
        hook, runner = self.hooks.authorize, self._runners["authorize"]
        assert hook is not None
        asked = ChannelRequest.of(channel, observe=observe)
        is_allowed: object = await runner.run(partial(hook, session, asked), user=session.user_id)
        if is_allowed is True:
            return
        if is_allowed is not False:
            error = TypeError(f"True or False is allowed, not {is_allowed!r:.200}")
            raise runner.record_failure(error, session.user_id)
        raise Forbidden(f"the application does not allow {channel.kind} {channel.name}")

    async def connect(self, session: LiveSession) -> None:
        hook = self.hooks.on_connect
        if hook is not None:
            await self._runners["on_connect"].run(partial(hook, session), user=session.user_id)

    async def check_message(
        self, session: LiveSession, effect: Publish | SendToUser, size: int
    ) -> tuple[Publish | SendToUser, int]:
        """Return the effect with the content that the application lets through, and its size in bytes."""
        hook, runner = self.hooks.on_message, self._runners["on_message"]
        assert hook is not None
        message = _message_of(effect)
        await runner.run(partial(hook, session, message), user=session.user_id)
        try:
            size = max(size, self._measure(message.content))
        except (BadRequest, TypeError) as error:
            raise runner.record_failure(error, session.user_id) from error
        if isinstance(effect, Publish):
            return Publish(effect.channel, message.content, effect.id, effect.key), size
        return SendToUser(effect.to, message.content, effect.id), size

    def _measure(self, content: object) -> int:
        """The bytes of a content as JSON. Raises BadRequest, or TypeError, if a hook has made of it what it may not."""
        check_value(content)
        size = len(orjson.dumps(content))
        if size > self._message_max_bytes:
            raise BadRequest(f"the content has {size} bytes as JSON, {self._message_max_bytes} are allowed")
        return size

    def statistics(self) -> Mapping[str, HookStatistics]:
        """By the name of each hook that there is."""
        return {name: runner.statistics() for name, runner in self._runners.items()}


def _is_identity(value: object) -> bool:
    """What a hook returns may be anything, whatever its annotations promise."""
    return isinstance(value, Identity)


def _message_of(effect: Publish | SendToUser) -> ClientMessage:
    if isinstance(effect, SendToUser):
        return ClientMessage(effect.content, to_user=effect.to)
    if effect.channel.kind is ChannelKind.ROOM:
        return ClientMessage(effect.content, room=effect.channel.name, key=effect.key)
    return ClientMessage(effect.content, agent_id=effect.channel.name, key=effect.key)
