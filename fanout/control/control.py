"""Control messages between nodes: deliver to a user's sessions, list or close sessions, wherever they are connected.

A request goes to every node at once. Each responds on the channel of the requesting node with the number of its
sessions that it concerned, so the count is of deliveries, not of attempts. Redis says how many nodes received the
request; a node that dies in that moment does not respond, and the deadline ends the wait for it. A notice goes to one
node, an announcement to all, and neither is responded to.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...shared.channels import Owner
from ...shared.clock import Clock
from ...shared.errors import MalformedBytes, Unavailable
from ...shared.keyspace import Keyspace
from ...shared.logs import get_logger
from ...shared.names import AgentId, SessionId, UserId
from ...shared.partitions import has_partition, kind_of_key
from ...shared.publication import EncodedMessage
from ...shared.sessions import SessionInfo
from ..history.publisher import Publisher
from ..redis.answers import log_failure
from ..redis.connection import Reply
from .codec import pack_message, unpack_message
from .requests import (
    Announcement,
    CloseSessions,
    ControlMessage,
    DeliverReported,
    DeliverToSession,
    DeliverToUser,
    Drain,
    Evict,
    LeaseGranted,
    ListOnline,
    ListSessions,
    Notice,
    ReportDelivery,
    Request,
    Response,
    RevocationChanged,
    SurveyAnswer,
)
from .sealing import ControlSealer
from .surveys import REPORT_SECONDS, Surveys

RESPONSE_SECONDS = 0.45
"""For all nodes together to respond to a request: a client's command then answers within half a second."""

_log = get_logger("tannoy.control")
_log_failure = log_failure(_log, "a notice, an announcement or a response could not be sent")

AnswerRequest = Callable[[Request], tuple[int, tuple[SessionInfo, ...]]]
"""How many sessions of this node a request concerned, and which, where it asks for that."""


class NoticeHandler(Protocol):
    def handle_notice(self, notice: Notice) -> None: ...


@dataclass(frozen=True, slots=True)
class ControlStatistics:
    pending_requests: int
    """Requests of this node that wait for responses."""
    malformed: int
    """Control messages since the start that were dropped, because they are not of this cluster and version."""
    replayed: int
    """Those of them that are of this cluster, and were played again or sent too long ago."""
    missing_responses: int
    """Responses since the start that were missing at the deadline."""


class _PendingRequest:
    """Done when as many nodes have responded as have received the request."""

    __slots__ = ("listed", "receivers", "responses", "served", "total")

    def __init__(self) -> None:
        self.receivers: int | None = None  # None until Redis has confirmed the publish
        self.responses = 0
        self.served = 0
        self.listed: list[SessionInfo] = []
        self.total: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def add(self, response: Response) -> None:
        self.responses += 1
        self.served += response.sessions
        self.listed += response.listed
        self.finish_if_complete()

    def finish_if_complete(self) -> None:
        if self.receivers is not None and self.responses >= self.receivers:
            self.finish()

    def finish(self) -> None:
        if not self.total.done():
            self.total.set_result(self.served)

    def fail(self, error: BaseException) -> None:
        if not self.total.done():
            self.total.set_exception(error)


class Control:
    """Sends requests, notices and announcements to other nodes, and answers theirs.

    Needs the link to be subscribed to `channels`, and what comes on them to be given to `handle_message`.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        publisher: Publisher,
        *,
        incarnation: str,
        secret: bytes,
        clock: Clock,
        answer_request: AnswerRequest,
        is_listening: Callable[[], bool],
        response_timeout: float = RESPONSE_SECONDS,
        report_timeout: float = REPORT_SECONDS,
    ) -> None:
        self._publisher = publisher
        self._sealer = ControlSealer(secret, clock)
        self._answer_request = answer_request
        self._notice_handler: NoticeHandler | None = None
        self._on_announced: Callable[[Announcement], None] | None = None
        self._keyspace = keyspace
        self.surveys = Surveys(
            self._publish,
            all_nodes=keyspace.control,
            channel_of=keyspace.node,
            incarnation=incarnation,
            is_listening=is_listening,
            report_timeout=report_timeout,
        )
        self._is_listening = is_listening
        self._response_timeout = response_timeout
        self._all_nodes = keyspace.control
        self._this_node = keyspace.node(incarnation)
        self._numbers = itertools.count(1)
        self._pending: dict[int, _PendingRequest] = {}
        self._malformed = 0
        self._missing_responses = 0

    def attach(self, handler: NoticeHandler) -> None:
        """From now on `handler` gets the notices to this node; before, there is nothing they could be about."""
        self._notice_handler = handler

    def attach_announced(self, on_announced: Callable[[Announcement], None]) -> None:
        """From now on `on_announced` gets the announcements of all nodes, those of this one too."""
        self._on_announced = on_announced

    @property
    def channels(self) -> tuple[bytes, bytes]:
        """The channel of all nodes, and that of this one."""
        return self._all_nodes, self._this_node

    # ---- requests

    def deliver_to_user(self, user_id: UserId, encoded: EncodedMessage) -> asyncio.Future[int]:
        """The number of the user's sessions that got it, on all nodes. Raises Unavailable."""
        return self._request(DeliverToUser(next(self._numbers), self._this_node, user_id, encoded)).total

    def deliver_to_session(
        self, agent_id: AgentId, session_id: SessionId, encoded: EncodedMessage
    ) -> asyncio.Future[int]:
        """1 if the session was on any node and got it, else 0. Raises Unavailable."""
        request = DeliverToSession(next(self._numbers), self._this_node, agent_id, session_id, encoded)
        return self._request(request).total

    def close_sessions(self, owner: Owner, session_id: SessionId | None) -> asyncio.Future[int]:
        """The number of the owner's sessions that were closed (4504); all, or the one. Raises Unavailable."""
        return self._request(CloseSessions(next(self._numbers), self._this_node, owner, session_id)).total

    async def list_sessions(self, user_id: UserId) -> list[SessionInfo]:
        """The user's sessions on all nodes. Raises Unavailable."""
        pending = self._request(ListSessions(next(self._numbers), self._this_node, user_id))
        await pending.total
        return pending.listed

    def _request(self, request: Request) -> _PendingRequest:
        number = request.request
        pending = self._pending[number] = _PendingRequest()
        deadline = asyncio.get_running_loop().call_later(self._response_timeout, self._on_deadline, pending)

        def close(_: object) -> None:
            deadline.cancel()
            self._pending.pop(number, None)

        pending.total.add_done_callback(close)
        if not self._is_listening():
            # The responses could not reach this node, and a count without them would be wrong.
            pending.fail(Unavailable("this node receives nothing from the bus"))
            return pending
        sent = self._publish(self._all_nodes, request)
        sent.add_done_callback(lambda done: self._on_sent(pending, done))
        return pending

    def _on_sent(self, pending: _PendingRequest, sent: asyncio.Future[Reply]) -> None:
        error = sent.exception()
        if error is None and int(sent.result()) > 0:
            pending.receivers = int(sent.result())
            pending.finish_if_complete()
        else:
            # This node receives its own requests too; if no node has, its link has just been lost.
            pending.fail(error or Unavailable("no node has received the request"))

    def _on_deadline(self, pending: _PendingRequest) -> None:
        if pending.receivers is None or pending.responses == 0:
            pending.fail(Unavailable("no node has responded in time"))
        else:
            self._missing_responses += pending.receivers - pending.responses
            pending.finish()

    # ---- notices and announcements

    def send_notice(self, incarnation: str, notice: Notice) -> None:
        """Send a notice to one node. It may get lost, and nothing says so: the sender looks again by itself."""
        channel = self._keyspace.node(incarnation)
        if channel == self._this_node:
            asyncio.get_running_loop().call_soon(self._handle_notice, notice)
        else:
            self._publish(channel, notice).add_done_callback(_log_failure)

    def announce(self, announcement: Announcement) -> None:
        """Tell all nodes. It may get lost, and nothing says so: each node looks again by itself."""
        self._publish(self._all_nodes, announcement).add_done_callback(_log_failure)

    def _handle_notice(self, notice: Notice) -> None:
        if self._notice_handler is not None:
            self._notice_handler.handle_notice(notice)

    # ---- what comes in

    def handle_message(self, channel: bytes, payload: bytes) -> None:
        """A control message from the bus, on one of `channels`."""
        try:
            message = unpack_message(self._sealer.open(channel, payload))
            if not isinstance(message, Response | SurveyAnswer | Evict | LeaseGranted | RevocationChanged):
                _check_reply_to(message.reply_to)
        except MalformedBytes as error:
            self._malformed += 1
            _log.warning("dropped a control message", error=str(error))
            return
        match message:
            case Response():
                if pending := self._pending.get(message.request):
                    pending.add(message)
            case SurveyAnswer():
                self.surveys.handle_answer(message)
            case ReportDelivery() | DeliverReported() | ListOnline() | Drain():
                self.surveys.handle_survey(message)
            case Evict() | LeaseGranted():
                self._handle_notice(message)
            case RevocationChanged():
                if self._on_announced is not None:
                    self._on_announced(message)
            case _:
                response = Response(message.request, *self._answer_request(message))
                self._publish(message.reply_to, response).add_done_callback(_log_failure)

    def _publish(self, channel: bytes, message: ControlMessage) -> asyncio.Future[Reply]:
        return self._publisher.send(channel, self._sealer.seal(channel, pack_message(message)))

    def statistics(self) -> ControlStatistics:
        return ControlStatistics(
            pending_requests=len(self._pending) + len(self.surveys),
            malformed=self._malformed,
            replayed=self._sealer.replayed,
            missing_responses=self._missing_responses + self.surveys.missing,
        )


def _check_reply_to(channel: bytes) -> None:
    """Raises MalformedBytes: it is no channel of a node, and in a Redis Cluster nothing can be published there."""
    if kind_of_key(channel) != "node" or not has_partition(channel):
        raise MalformedBytes(f"a request to be answered on {channel[:80]!r}, which is no channel of a node")
