"""Surveys: requests to all nodes whose answers are told apart, so that those which do not answer can be named.

The one who asks says which nodes it expects, by the names of their processes. A survey ends when all of these have
answered, or at its deadline; what comes later counts for nothing.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from ...shared.errors import Unavailable
from ...shared.logs import get_logger
from ...shared.names import AgentId, SessionId, UserId
from ...shared.nodes import NodeInfo
from ...shared.online import OnlineUsers
from ...shared.publication import EncodedMessage
from ...shared.reports import DeliveryReport, SocketOutcome
from ..redis.answers import log_failure
from ..redis.connection import Reply
from .requests import (
    ControlMessage,
    DeliverReported,
    DeliverToSession,
    DeliverToUser,
    Drain,
    Draining,
    ListOnline,
    ReportDelivery,
    Survey,
    SurveyAnswer,
    SurveyBody,
)

REPORT_SECONDS = 1.0
"""For all nodes to say what became of a message: `docs/protocol.md §6` promises it."""

_log_failure = log_failure(get_logger("tannoy.control"), "an answer to a survey could not be sent")

Body = TypeVar("Body", SocketOutcome, OnlineUsers, Draining)

Expected = Mapping[str, str]
"""The nodes that are to answer: the name of each by that of its process."""


def expect(nodes: Iterable[NodeInfo]) -> Expected:
    return {node.incarnation: node.node for node in nodes}


class SurveyHandler(Protocol):
    """Answers the surveys of all nodes with the sessions of this one."""

    def answer_survey(self, survey: Survey, respond: Callable[[SurveyBody], None]) -> None:
        """Call `respond` at once, later, or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class SurveyResult(Generic[Body]):
    """The answers by the name of each process, and the names of the nodes that were expected and did not answer."""

    answers: Mapping[str, Body]
    late_nodes: tuple[str, ...]


@dataclass(eq=False)
class _PendingSurvey:
    expected: Expected
    done: asyncio.Future[None]
    answers: dict[str, SurveyBody] = field(default_factory=dict[str, SurveyBody])

    def add(self, answer: SurveyAnswer) -> None:
        self.answers[answer.incarnation] = answer.body
        if self.expected.keys() <= self.answers.keys():
            self.finish()

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def result(self, kind: type[Body]) -> SurveyResult[Body]:
        """What was answered with a body of this kind; who has answered with another one has not answered this."""
        answers = {each: body for each, body in self.answers.items() if isinstance(body, kind)}
        late = tuple(name for incarnation, name in self.expected.items() if incarnation not in answers)
        return SurveyResult(answers, late)


class Surveys:
    """`publish` sends a control message on a channel; `channel_of` gives that of one node, by its incarnation."""

    def __init__(
        self,
        publish: Callable[[bytes, ControlMessage], asyncio.Future[Reply]],
        *,
        all_nodes: bytes,
        channel_of: Callable[[str], bytes],
        incarnation: str,
        is_listening: Callable[[], bool],
        report_timeout: float = REPORT_SECONDS,
    ) -> None:
        self.missing = 0
        """Answers since the start that were missing at the deadline."""
        self._publish = publish
        self._all_nodes = all_nodes
        self._channel_of = channel_of
        self._this_node = channel_of(incarnation)
        self._incarnation = incarnation
        self._is_listening = is_listening
        self._report_timeout = report_timeout
        self._handler: SurveyHandler | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[int, _PendingSurvey] = {}

    def attach(self, handler: SurveyHandler) -> None:
        """From now on `handler` answers the surveys that come; before, this node answers none."""
        self._handler = handler

    # ---- asking; each raises Unavailable if it could not be sent

    async def report_delivery(self, address: bytes, token: str, expected: Expected) -> DeliveryReport:
        """What became of the message with this token on the channel."""
        return await self._report(ReportDelivery(next(self._numbers), self._this_node, address, token), expected)

    async def deliver_to_user(self, user_id: UserId, encoded: EncodedMessage, expected: Expected) -> DeliveryReport:
        """Deliver to all sessions of a user, and report on it."""
        return await self._deliver(DeliverToUser(0, b"", user_id, encoded), expected)

    async def deliver_to_session(
        self, agent_id: AgentId, session_id: SessionId, encoded: EncodedMessage, expected: Expected
    ) -> DeliveryReport:
        """Deliver to one session of an agent, and report on it."""
        return await self._deliver(DeliverToSession(0, b"", agent_id, session_id, encoded), expected)

    async def _deliver(self, delivery: DeliverToUser | DeliverToSession, expected: Expected) -> DeliveryReport:
        return await self._report(DeliverReported(next(self._numbers), self._this_node, delivery), expected)

    async def _report(self, survey: Survey, expected: Expected) -> DeliveryReport:
        result = await self._ask(survey, expected, SocketOutcome)
        return DeliveryReport(result.answers, result.late_nodes)

    async def list_online(self, after: str, limit: int, expected: Expected) -> SurveyResult[OnlineUsers]:
        """The first `limit` users of each node behind `after`."""
        return await self._ask(ListOnline(next(self._numbers), self._this_node, after, limit), expected, OnlineUsers)

    async def drain(self, incarnation: str, name: str) -> SurveyResult[Draining]:
        """Let one node leave."""
        survey = Drain(next(self._numbers), self._this_node)
        return await self._ask(survey, {incarnation: name}, Draining, self._channel_of(incarnation))

    async def _ask(
        self, survey: Survey, expected: Expected, kind: type[Body], channel: bytes | None = None
    ) -> SurveyResult[Body]:
        if not self._is_listening():
            # The answers could not reach this node, and it would call all others late.
            raise Unavailable("this node receives nothing from the bus")
        loop = asyncio.get_running_loop()
        pending = self._pending[survey.request] = _PendingSurvey(expected, loop.create_future())
        deadline = loop.call_later(self._report_timeout, pending.finish)
        try:
            self._publish(channel or self._all_nodes, survey).add_done_callback(lambda sent: _check_sent(pending, sent))
            await pending.done
        finally:
            deadline.cancel()
            del self._pending[survey.request]
        result = pending.result(kind)
        self.missing += len(result.late_nodes)
        return result

    # ---- what comes in

    def handle_survey(self, survey: Survey) -> None:
        """A survey of any node, this one among them."""
        if self._handler is not None:
            self._handler.answer_survey(survey, lambda body: self._respond(survey, body))

    def _respond(self, survey: Survey, body: SurveyBody) -> None:
        self._publish(survey.reply_to, SurveyAnswer(survey.request, self._incarnation, body)).add_done_callback(
            _log_failure
        )

    def handle_answer(self, answer: SurveyAnswer) -> None:
        """An answer to a survey of this node, or to one whose deadline is over."""
        if pending := self._pending.get(answer.request):
            pending.add(answer)

    def __len__(self) -> int:
        return len(self._pending)


def _check_sent(pending: _PendingSurvey, sent: asyncio.Future[Reply]) -> None:
    if error := sent.exception():
        pending.fail(error)
