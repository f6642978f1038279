"""Publishing with a report: what became of the message at the sockets of every node (`report: true`)."""

import secrets
from collections.abc import Awaitable, Callable

import structlog

from ...fanout.control.surveys import Expected, Surveys, expect
from ...shared.channels import Channel
from ...shared.errors import Unavailable
from ...shared.names import AgentId, SessionId, UserId
from ...shared.nodes import NodeInfo
from ...shared.protocol.frames import Author
from ...shared.publication import Position
from ...shared.reports import DeliveryReport
from .publishing import Publishing

_TOKEN_BYTES = 9
_log = structlog.get_logger("tannoy.publishing")


class ReportedPublishing:
    """Each operation raises Unavailable: nothing was published, or, as without a report, Redis did not confirm it.

    The nodes that are to answer are those whose heartbeat holds (`list_nodes`) before the message is published.
    """

    def __init__(
        self, publishing: Publishing, surveys: Surveys, list_nodes: Callable[[], Awaitable[list[NodeInfo]]]
    ) -> None:
        self._publishing = publishing
        self._surveys = surveys
        self._list_nodes = list_nodes

    async def publish(
        self, channel: Channel, author: Author, content: object, *, key: str | None = None, exclude: str = ""
    ) -> tuple[Position | None, DeliveryReport]:
        """Publish on a channel. Of a key that was seen before nothing is published, and the report is empty."""
        expected, token = await self._expected(), secrets.token_urlsafe(_TOKEN_BYTES)
        published = await self._publishing.publish_reported(channel, author, content, token, key=key, exclude=exclude)
        if published.is_repeated:
            return published.position, DeliveryReport({})
        try:
            report = await self._surveys.report_delivery(channel.address, token, expected)
        except Unavailable as error:
            # It is published: an error would make the back end publish it again.
            _log.warning("no node could be asked what became of a message", error=str(error))
            report = DeliveryReport({}, tuple(expected.values()))
        return published.position, report

    async def send_to_user(self, user_id: UserId, author: Author, content: object) -> DeliveryReport:
        """Send to all sessions of a user."""
        encoded = self._publishing.encode_private(author, content)
        return await self._surveys.deliver_to_user(user_id, encoded, await self._expected())

    async def send_to_session(
        self, agent: Channel, session_id: SessionId, author: Author, content: object
    ) -> DeliveryReport:
        """Send to one session of an agent."""
        encoded = self._publishing.encode_message(agent, author, content)
        expected = await self._expected()
        return await self._surveys.deliver_to_session(AgentId(agent.name), session_id, encoded, expected)

    async def _expected(self) -> Expected:
        return expect(await self._list_nodes())
