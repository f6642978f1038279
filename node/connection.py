"""One connection, whatever carries it: commands in, keepalive, the reason it ends.

No task of its own. A command that has to wait for Redis goes on in the callback of a future; those that follow a
`join` wait behind it, in order, and when too many wait the carrier stops reading.
"""

import asyncio
from enum import Enum, auto
from functools import partial
from typing import Any, assert_never

import structlog

from ..shared.channels import Channel
from ..shared.clock import rfc3339
from ..shared.close import CLOSE_RULES, CloseCode
from ..shared.codec import WireFormat, decode_command, encode_ready, pack_publication
from ..shared.commands import BadCommand
from ..shared.errors import BadName, BadRequest, Refused
from ..shared.messages import Bye, CommandId, Failure, NodeFrame, Ok, Publication, Resync
from ..shared.names import UserId
from .carrier import CLOSE_DEADLINE, Carrier
from .frames import Opcode, frame
from .framing import frame_object, frame_ping
from .outbox import Outbox
from .patience import BadFrames, Waiting
from .services import Services
from .session import Alive, Answer, Effect, Enter, Exit, Publish, Session, TellUser

PONG_DEADLINE = 10.0
UNDER_WAY_MAX = 64
"""Publishes of one connection that Redis has not confirmed yet; further commands wait."""

_log = structlog.get_logger("tannoy.connection")


class _State(Enum):
    OPENING = auto()  # until `welcome`
    OPEN = auto()
    CLOSING = auto()  # our close frame is out
    CLOSED = auto()


class Connection:
    """A Carried, a Member of the hub, and Timed by the wheel."""

    __slots__ = (
        "_bad_frames",
        "_busy",
        "_carrier",
        "_ping_out",
        "_services",
        "_state",
        "_under_way",
        "_waiting",
        "outbox",
        "session",
        "tick",
        "wire",
    )

    def __init__(self, services: Services, carrier: Carrier, session: Session, wire: WireFormat) -> None:
        self.session = session
        self.wire = wire
        self.outbox = Outbox(
            carrier, services.limits, session.session_id, on_overflow=self._overflowed, on_skipped=self._skipped
        )
        self.tick = 0
        self._services = services
        self._carrier = carrier
        self._state = _State.OPENING
        self._ping_out = False
        self._busy = False  # a channel is being entered
        self._under_way = 0
        self._waiting: Waiting | None = None
        self._bad_frames: BadFrames | None = None

    @property
    def user_id(self) -> UserId:
        return self.session.user_id

    @property
    def is_open(self) -> bool:
        return self._state is _State.OPEN

    # ---- Carried

    def opened(self, opening: bytes = b"") -> None:
        services, home = self._services, self.session.home
        services.hub.register(self)
        services.wheel.set(self, services.ping_interval)
        if home is not None:
            waiter = services.subscriber.acquire(home.address)
            if waiter is not None:
                if opening:
                    self.outbox.answer(opening)
                self._busy = True
                waiter.add_done_callback(partial(self._acquired, Enter(home, None)))
                return
            self._join(home)
        self._welcome(opening)

    def received(self, payload: bytes, binary: bool) -> None:
        if self._state in (_State.CLOSING, _State.CLOSED):
            return
        self._services.received += 1
        if self._busy or self._waiting or self._under_way >= UNDER_WAY_MAX:
            self._wait(payload, binary)
        else:
            self._handle(payload, binary)

    def pinged(self, payload: bytes) -> None:
        self.outbox.answer(frame(Opcode.PONG, payload))

    def paused(self) -> None:
        self.outbox.paused()

    def resumed(self) -> None:
        self.outbox.resumed()

    def violated(self, code: int, reason: str) -> None:
        _log.debug("broke RFC 6455", session=self.session.session_id, reason=reason)
        self.close(CloseCode(code))

    def closed(self) -> None:
        self._leave_everything()
        self._state = _State.CLOSED
        self._services.wheel.clear(self)

    # ---- the end

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        """Say `bye`, close. From here on nothing is delivered; a peer that does not answer is cut off."""
        if self._state in (_State.CLOSING, _State.CLOSED):
            return
        self._leave_everything()
        self._state = _State.CLOSING
        self._carrier.writer()(frame_object(Bye(code, retry_after), self.wire))
        self._carrier.close(code, CLOSE_RULES[code].reason)
        self._services.wheel.set(self, CLOSE_DEADLINE)
        _log.debug("closing", session=self.session.session_id, user=self.user_id, code=int(code))

    def _leave_everything(self) -> None:
        if self._state in (_State.CLOSING, _State.CLOSED):
            return
        self.outbox.discard()
        for channel in tuple(self.session.joined.values()):
            self._exit(channel)
        self._services.hub.unregister(self)
        self._waiting = None

    def _overflowed(self) -> None:
        self.close(CloseCode.TOO_SLOW)

    def _skipped(self) -> None:
        for channel in tuple(self.session.joined.values()):  # an answer too many closes, and leaves them all
            self.answer(Resync(channel, "too slow to read: messages were dropped"))

    # ---- keepalive

    def due(self, now: float) -> None:
        if self._state is _State.CLOSING:
            self._carrier.abort()
        elif self._ping_out and not self._waiting:
            self.close(CloseCode.NO_PONG)
        elif self._ping_out or self._state is _State.OPENING:
            # Its pong may stand behind commands that wait for us; and nothing comes before `welcome`.
            self._services.wheel.set(self, PONG_DEADLINE)
        else:
            self._ping_out = True
            self.outbox.answer(frame_ping(self.wire))
            self._services.wheel.set(self, PONG_DEADLINE)

    def _alive(self) -> None:
        if self._ping_out:
            self._ping_out = False
            self._services.wheel.set(self, self._services.ping_interval)

    # ---- commands in

    def _wait(self, payload: bytes, binary: bool) -> None:
        if self._waiting is None:
            self._waiting = Waiting()
        self._waiting.push(payload, binary)
        if self._waiting.is_full:
            self._carrier.pause_reading()

    def _go_on(self) -> None:
        """Handle what has waited, up to the next command that has to wait itself."""
        while self._waiting and not self._busy and self._under_way < UNDER_WAY_MAX:
            self._handle(*self._waiting.pop())
        if not self._waiting and self._state in (_State.OPENING, _State.OPEN):
            self._carrier.resume_reading()

    def _handle(self, payload: bytes, binary: bool) -> None:
        try:
            command = decode_command(payload, binary=binary, wire=self.wire)
        except BadCommand as bad:
            self._refuse(bad.id, bad.refusal)
            self._count_bad_frame()
            return
        try:
            timestamp = rfc3339(self._services.clock.now())
            self._perform(self.session.handle(command, timestamp))
        except Refused as refusal:
            self._refuse(command.id, refusal)
            if isinstance(refusal, (BadRequest, BadName)):
                self._count_bad_frame()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Answer(answer):
                self.answer(answer)
            case Enter():
                self._enter(effect)
            case Exit(channel, id):
                self._exit(channel)
                if ok := self.session.in_room(channel, id):
                    self.answer(ok)
            case Publish():
                self._publish(effect)
            case TellUser(to, said, id):
                served = self._services.control.deliver_to_user(to, encode_ready(said))
                self._answer_later(served, id, "sessions")
            case Alive():
                self._alive()
            case _:
                assert_never(effect)

    # ---- channels

    def _enter(self, effect: Enter) -> None:
        waiter = self._services.subscriber.acquire(effect.channel.address)
        if waiter is None:
            self._entered(effect)
        else:
            self._busy = True
            waiter.add_done_callback(partial(self._acquired, effect))

    def _acquired(self, effect: Enter, waiter: asyncio.Future[None]) -> None:
        self._busy = False
        error = waiter.exception()
        if error is None and self._state in (_State.CLOSING, _State.CLOSED):
            self._services.subscriber.release(effect.channel.address)
        elif error is None:
            self._entered(effect)
        elif self._state is _State.OPENING:
            self.close(CloseCode.TRY_AGAIN_LATER, retry_after=1.0)
        elif self._state is _State.OPEN and isinstance(error, Refused):
            self._refuse(effect.id, error)
        self._go_on()

    def _entered(self, effect: Enter) -> None:
        self._join(effect.channel)
        if self._state is _State.OPENING:
            self._welcome()
        elif ok := self.session.in_room(effect.channel, effect.id, recover=effect.recover):
            self.answer(ok)

    def _join(self, channel: Channel) -> None:
        channel = self._services.hub.known(channel)
        self._services.hub.add(channel, self)
        self.session.entered(channel)

    def _exit(self, channel: Channel) -> None:
        self.session.exited(channel)
        self._services.hub.remove(channel, self)
        self._services.subscriber.release(channel.address)

    def _welcome(self, opening: bytes = b"") -> None:
        self._state = _State.OPEN
        welcome = self.session.welcome(self._services.node_id, self._services.ping_interval)
        self.outbox.answer(opening + frame_object(welcome, self.wire))

    # ---- speaking

    def _publish(self, effect: Publish) -> None:
        payload = pack_publication(Publication(encode_ready(effect.frame), effect.exclude or ""))
        confirmed = self._services.publisher.publish(effect.channel, payload, author=self.user_id, key=effect.key)
        self._answer_later(confirmed, effect.id, None)

    def _answer_later(self, done: asyncio.Future[Any], id: CommandId | None, result_field: str | None) -> None:
        self._under_way += 1
        done.add_done_callback(partial(self._done, id, result_field))

    def _done(self, id: CommandId | None, result_field: str | None, done: asyncio.Future[Any]) -> None:
        self._under_way -= 1
        error = done.exception()
        if self._state is not _State.OPEN:
            return
        if isinstance(error, Refused):
            self._refuse(id, error)
        elif error is not None:
            raise error
        elif id is not None:
            self.answer(Ok(id, {result_field: done.result()} if result_field else {}))
        if self._waiting:
            self._go_on()

    # ---- answers out

    def answer(self, node_frame: NodeFrame) -> None:
        """Send one frame to this session alone."""
        self.outbox.answer(frame_object(node_frame, self.wire))

    def _refuse(self, id: CommandId | None, refusal: Refused) -> None:
        self._services.refused += 1
        self.answer(Failure(id, refusal.code, refusal.message, refusal.retry_after))

    def _count_bad_frame(self) -> None:
        if self._bad_frames is None:
            self._bad_frames = BadFrames()
        if self._bad_frames.one_more(self._services.clock.monotonic()):
            self.close(CloseCode.BAD_FRAMES)
