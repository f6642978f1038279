"""Messages on their way to the bus: stamped with the time, encoded once, and published.

A node publishes so what its clients and back ends say, and the SDK what its program says.
"""

import asyncio

from ..shared.channels import Channel
from ..shared.clock import Clock, rfc3339
from ..shared.names import AgentId, RoomName, SessionId, UserId
from ..shared.protocol.codec import encode_frame
from ..shared.protocol.frames import Author, MessageFrame, PrivateFrame, TypingFrame
from ..shared.publication import EncodedMessage, Position, Publication
from ..shared.reports import add_token
from .control.control import Control
from .history.publisher import Published, Publisher
from .redis.connection import Reply


class MessagePublishing:
    """Each operation returns a future that raises Unavailable if Redis is away.

    The order of the calls is the order on the bus: nothing is awaited before the command is written.
    """

    def __init__(self, publisher: Publisher, control: Control, clock: Clock) -> None:
        self._publisher = publisher
        self._control = control
        self._clock = clock

    def publish(
        self, channel: Channel, author: Author, content: object, *, key: str | None = None, exclude: str = ""
    ) -> asyncio.Future[Position | None]:
        """Publish a message, once per author and `key`, to all sessions in the channel but `exclude`.

        The result is its position in the channel's history; None if no history is kept. If the key was seen before,
        nothing is published, and the result is the position of the earlier message.
        """
        encoded = self.encode_message(channel, author, content)
        return self._publisher.publish(channel, Publication(encoded, exclude), author=author.user_id or "", key=key)

    def publish_reported(
        self,
        channel: Channel,
        author: Author,
        content: object,
        token: str,
        *,
        key: str | None = None,
        exclude: str = "",
    ) -> asyncio.Future[Published]:
        """Publish as `publish` does, with the token of a report."""
        publication = Publication(self.encode_message(channel, author, content), add_token(exclude, token))
        return self._publisher.publish_telling(channel, publication, author=author.user_id or "", key=key)

    def publish_typing(
        self, room: Channel, user_id: UserId, username: str, *, exclude: str = ""
    ) -> asyncio.Future[Reply]:
        """Publish that a user is typing, to all sessions in the room but `exclude`. History does not keep it."""
        encoded = encode_frame(TypingFrame(RoomName(room.name), user_id, username))
        return self._publisher.publish_unkept(room, Publication(encoded, exclude))

    def send_to_user(self, user_id: UserId, author: Author, content: object) -> asyncio.Future[int]:
        """Send to all sessions of a user, on all nodes; the result is their number."""
        return self._control.deliver_to_user(user_id, self.encode_private(author, content))

    def send_to_session(
        self, agent: Channel, session_id: SessionId, author: Author, content: object
    ) -> asyncio.Future[int]:
        """Send to one session of an agent; the result is 1, or 0 if no node has that session."""
        encoded = self.encode_message(agent, author, content)
        return self._control.deliver_to_session(AgentId(agent.name), session_id, encoded)

    def encode_message(self, channel: Channel, author: Author, content: object) -> EncodedMessage:
        """Stamp and encode a message of a room or an agent."""
        return encode_frame(MessageFrame(channel, author, content, self._now()))

    def encode_private(self, author: Author, content: object) -> EncodedMessage:
        """Stamp and encode a message to a user."""
        return encode_frame(PrivateFrame(author, content, self._now()))

    def _now(self) -> str:
        return rfc3339(self._clock.now())
