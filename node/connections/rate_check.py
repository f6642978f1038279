"""The rates of one connection, of its user and its agent: what is beyond them is refused, and who goes on is closed."""

import asyncio
from collections.abc import Callable

import structlog

from ...shared.backoff import spread_retry_after
from ...shared.channels import OwnerKind
from ...shared.codes import CloseCode, DisconnectRule
from ...shared.errors import Refused
from ...shared.protocol.commands import Command, Message, Pong, Private, Typing
from ...shared.protocol.frames import CommandId, ErrorFrame
from ..admission.owner_rates import OwnerRates
from ..admission.rate_limits import SessionBuckets, SessionRates, rate_limited
from ..protocols.session import Endpoint
from .command_owner import CommandOwner
from .context import CommandContext

RETRY_AFTER = (5.0, 10.0)
"""Seconds after which a client that went on beyond a rate may connect again."""
_MESSAGES = frozenset({Message, Private, Typing})
"""Commands that others receive."""

_log = structlog.get_logger("tannoy.connection")


class RateCheck:
    """A part of a connection. It has buckets from the first command of its client on."""

    __slots__ = ("_buckets", "_connection", "_context", "_has_refused", "_rates")

    def __init__(self, connection: CommandOwner, context: CommandContext, rates: SessionRates) -> None:
        self._connection = connection
        self._context = context
        self._rates = rates
        self._buckets: SessionBuckets | None = None
        self._has_refused = False

    def admit_command(self, command: Command, size: int) -> bool:
        """Count a command that came in a frame of `size` bytes; False: it has been refused.

        `pong` is free: a client that was refused would seem not to answer.
        """
        kind = type(command)
        return kind is Pong or self._admit(command.id, size, is_message=kind in _MESSAGES)

    def rest_if_ahead(self, go_on: Callable[[], None]) -> bool:
        """Whether the session has sent much more at once than its rates allow in the long run.

        Its next command then waits for the next turn of the event loop, which calls `go_on`: the others do not wait
        behind all that it may send at once.
        """
        if self._buckets is None or not self._buckets.are_ahead(self._context.clock.monotonic()):
            return False
        asyncio.get_running_loop().call_soon(go_on)
        return True

    def admit_ping(self, size: int) -> bool:
        """Count a ping frame with a payload of `size` bytes; False: it has been refused, and gets no pong frame."""
        return self._admit(None, size, is_message=False)

    def _admit(self, id: CommandId | None, size: int, *, is_message: bool) -> bool:
        now = self._context.clock.monotonic()
        buckets = self._buckets
        if buckets is None:
            buckets = self._buckets = SessionBuckets(self._rates)
        refusal = buckets.take(size, now, is_message=is_message)
        if refusal is None and is_message and self._context.owner_rates:
            refusal = self._take_of_owners(now)
            if refusal is not None:
                buckets.give_back(size)
        if refusal is None:
            return True
        self._refuse(id, refusal)
        if buckets.count_refusal(now):
            self._close(refusal)
        return False

    def _take_of_owners(self, now: float) -> Refused | None:
        """Take a message of the session's user and its agent; None: it was taken of both, or else of none."""
        session = self._connection.session
        taken: list[tuple[OwnerRates, str]] = []
        for rates in self._context.owner_rates:
            if rates.kind is OwnerKind.USER:
                name: str = session.user_id
            elif session.endpoint is Endpoint.AGENT and session.home is not None:
                name = session.home.name
            else:
                continue
            if wait := rates.take(name, now):
                for others, other in taken:
                    others.give_back(other)
                return rate_limited(f"messages of this {rates.kind}", rates.rate, wait)
            taken.append((rates, name))
        return None

    def _refuse(self, id: CommandId | None, refusal: Refused) -> None:
        counters = self._context.counters
        counters.refused += 1
        counters.rate_limited += 1
        if not self._has_refused:
            self._has_refused = True
            self._warn("refusing what a client sends beyond a rate", refusal)
        self._connection.answer(ErrorFrame(id, refusal.code, refusal.message, refusal.retry_after))

    def _close(self, refusal: Refused) -> None:
        self._context.counters.rate_closed += 1
        self._context.charge_address(self._connection.address)
        self._warn("closing a client that goes on beyond a rate", refusal)
        retry_after = spread_retry_after(*RETRY_AFTER)
        self._connection.close(CloseCode.TRY_AGAIN_LATER, retry_after=retry_after, rule=DisconnectRule.RATE_LIMITED)

    def _warn(self, event: str, refusal: Refused) -> None:
        """Of lines that are alike one is logged in a second (`node/lifecycle/repeats.py`)."""
        session = self._connection.session
        _log.warning(event, user=session.user_id, session=session.session_id, refusal=refusal.message)
