"""Orders between nodes: hand something to a user's sessions, close an agent's, wherever they live.

A question goes to every node at once. Each answers on the asker's own channel with the number of sessions it served, so
the count is of deliveries, not of hopes. Redis says how many nodes heard the order; a node that has died in that
moment does not answer, and the deadline ends the wait for it. An errand goes to one node, and is not answered.
"""

import asyncio
import itertools
from collections.abc import Callable

import structlog

from ...shared.channels import Owner
from ...shared.errors import MalformedBytes, Unavailable
from ...shared.keyspace import Keyspace
from ...shared.names import AgentId, SessionId, UserId
from ...shared.publication import EncodedMessage
from ...shared.sessions import SessionInfo
from ..history.publisher import Publisher
from ..redis.connection import Reply
from .codec import pack_order, unpack_order
from .requests import (
    CloseSessions,
    DeliverToSession,
    DeliverToUser,
    Evict,
    LeaseGranted,
    ListSessions,
    Notice,
    Request,
    Response,
)

ANSWER_DEADLINE = 0.45
"""Seconds for all nodes together to answer an order."""

_log = structlog.get_logger("tannoy.control")


class _Pending:
    """A question on its way: done when as many nodes have answered as have heard it."""

    __slots__ = ("answered", "heard", "listed", "served", "total")

    def __init__(self) -> None:
        self.heard: int | None = None  # nodes; unknown until Redis has confirmed the publish
        self.answered = 0
        self.served = 0
        self.listed: list[SessionInfo] = []
        self.total: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        if not self.total.done():
            self.total.set_result(self.served)

    def check(self) -> None:
        if self.heard is not None and self.answered >= self.heard:
            self.settle()


class Control:
    """Gives orders, and carries out those of other nodes.

    `answer` tells how many sessions a question concerned here, and which of them if it asks for that; `handle_notice`
    takes what is meant for this node alone.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        publisher: Publisher,
        *,
        incarnation: str,
        secret: bytes,
        answer: Callable[[Request], tuple[int, tuple[SessionInfo, ...]]],
        handle_notice: Callable[[Notice], None],
        is_listening: Callable[[], bool],
        response_timeout: float = ANSWER_DEADLINE,
    ) -> None:
        self._publisher = publisher
        self._secret = secret
        self._answer = answer
        self._handle_notice = handle_notice
        self._keyspace = keyspace
        self._is_listening = is_listening
        self._response_timeout = response_timeout
        self._everybody = keyspace.control
        self._self = keyspace.node(incarnation)
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Pending] = {}
        self._malformed = 0
        self._silent_nodes = 0

    @property
    def addresses(self) -> tuple[bytes, bytes]:
        """The channels that the link has to hear for as long as the node lives; what they bring goes to `received`."""
        return self._everybody, self._self

    def deliver_to_user(self, user_id: UserId, encoded: EncodedMessage) -> asyncio.Future[int]:
        """The number of the user's sessions that got it, on all nodes. Raises Unavailable."""
        return self._ask(DeliverToUser(next(self._numbers), self._self, user_id, encoded)).total

    def deliver_to_session(
        self, agent_id: AgentId, session_id: SessionId, encoded: EncodedMessage
    ) -> asyncio.Future[int]:
        """1 if the session was on any node and got it, else 0. Raises Unavailable."""
        return self._ask(DeliverToSession(next(self._numbers), self._self, agent_id, session_id, encoded)).total

    def close_sessions(self, owner: Owner, session_id: SessionId | None) -> asyncio.Future[int]:
        """The number of the owner's sessions that were closed (4504); all, or the one. Raises Unavailable."""
        return self._ask(CloseSessions(next(self._numbers), self._self, owner, session_id)).total

    async def list_sessions(self, user_id: UserId) -> list[SessionInfo]:
        """The user's sessions on all nodes. Raises Unavailable."""
        question = self._ask(ListSessions(next(self._numbers), self._self, user_id))
        await question.total
        return question.listed

    def send_notice(self, incarnation: str, notice: Notice) -> None:
        """Send a notice to one node. It may get lost, and nothing says so: the sender looks again by itself."""
        address = self._keyspace.node(incarnation)
        if address == self._self:
            asyncio.get_running_loop().call_soon(self._handle_notice, notice)
            return
        self._publisher.send(address, pack_order(notice, self._secret)).add_done_callback(self._answer_sent)

    def _ask(self, order: Request) -> _Pending:
        number = order.request
        question = self._questions[number] = _Pending()
        deadline = asyncio.get_running_loop().call_later(self._response_timeout, self._give_up, question)

        def close(_: object) -> None:
            deadline.cancel()
            self._questions.pop(number, None)

        question.total.add_done_callback(close)
        if not self._is_listening():
            # The answers could not reach us, and a count without them would be a false one.
            question.total.set_exception(Unavailable("this node does not hear the bus"))
            return question
        sent = self._publisher.send(self._everybody, pack_order(order, self._secret))
        sent.add_done_callback(lambda done: self._sent(question, done))
        return question

    def _sent(self, question: _Pending, sent: asyncio.Future[Reply]) -> None:
        error = sent.exception()
        if error is None and int(sent.result()) > 0:
            question.heard = int(sent.result())
            question.check()
        elif not question.total.done():
            # This node itself counts as one that hears; if none has, its link has just been lost.
            question.total.set_exception(error or Unavailable("no node has heard it"))

    def _give_up(self, question: _Pending) -> None:
        if question.heard is None or question.answered == 0:
            if not question.total.done():
                question.total.set_exception(Unavailable("no node has confirmed in time"))
        else:
            self._silent_nodes += question.heard - question.answered
            question.settle()

    def received(self, payload: bytes) -> None:
        """One order or answer from the bus."""
        try:
            order = unpack_order(payload, self._secret)
        except MalformedBytes as error:
            self._malformed += 1
            _log.warning("dropped an order", error=str(error))
            return
        match order:
            case Response(request, sessions, listed):
                if question := self._questions.get(request):
                    question.answered += 1
                    question.served += sessions
                    question.listed += listed
                    question.check()
            case Evict() | LeaseGranted():
                self._handle_notice(order)
            case _:
                answer = Response(order.request, *self._answer(order))
                sent = self._publisher.send(order.reply_to, pack_order(answer, self._secret))
                sent.add_done_callback(self._answer_sent)

    def _answer_sent(self, sent: asyncio.Future[Reply]) -> None:
        if error := sent.exception():
            _log.warning("an order or its answer did not get out", error=str(error))

    def statistics(self) -> dict[str, int]:
        return {
            "questions": len(self._questions),
            "malformed": self._malformed,
            "silent_nodes": self._silent_nodes,
        }
