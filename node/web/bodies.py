"""The bodies of the HTTP API."""

from typing import Annotated, Any, cast

from pydantic import ConfigDict, PlainValidator, WithJsonSchema

from ...shared.channels import Channel
from ...shared.errors import BadRequest
from ...shared.keyspace import Keyspace
from ...shared.names import AgentId, RoomName, parse_agent, parse_room
from ...shared.protocol.field_schemas import NAME, USER_ID_OR_INTEGER
from ...shared.protocol.frames import Author
from ...shared.publication import BATCH_MAX
from ...shared.revocations import FIELDS
from .contract import (
    Content,
    ContractBody,
    MaxSessions,
    OptionalKey,
    OptionalSession,
    OptionalUser,
    OptionalUsername,
    Policy,
    Report,
)


class DirectBody(ContractBody):
    """A message to a user, or to one session of an agent."""

    content: Content
    user_id: OptionalUser = None
    username: OptionalUsername = None
    report: Report = False

    @property
    def author(self) -> Author:
        return author_of(self)


class MessageBody(DirectBody):
    """A message to a room or an agent."""

    exclude_session: OptionalSession = None
    key: OptionalKey = None


class BatchMessage(ContractBody):
    """One entry of `POST /messages`; it names either a room or an agent."""

    room: Annotated[RoomName | None, PlainValidator(parse_room), WithJsonSchema(NAME)] = None
    agent_id: Annotated[AgentId | None, PlainValidator(parse_agent), WithJsonSchema(NAME)] = None
    content: Content
    user_id: OptionalUser = None
    username: OptionalUsername = None
    exclude_session: OptionalSession = None
    key: OptionalKey = None

    def channel(self, keyspace: Keyspace) -> Channel:
        """Raises BadRequest."""
        if self.room is not None and self.agent_id is None:
            return keyspace.room(self.room)
        if self.agent_id is not None and self.room is None:
            return keyspace.agent(self.agent_id)
        raise BadRequest("a message names either a room or an agent_id")


def author_of(body: DirectBody | BatchMessage) -> Author:
    return Author.named(body.user_id, body.username)


def _parse_messages(value: object) -> list[object]:
    if not isinstance(value, list) or len(cast("list[object]", value)) > BATCH_MAX:
        raise BadRequest(f"messages has to be an array of at most {BATCH_MAX} messages")
    return cast("list[object]", value)


class BatchBody(ContractBody):
    """Many messages; each is refused alone, so they are parsed one by one."""

    messages: Annotated[list[Any], PlainValidator(_parse_messages, json_schema_input_type=list[BatchMessage])]


class LimitBody(ContractBody):
    """The limit of an agent."""

    max_sessions: MaxSessions
    policy: Policy


class RevocationBody(ContractBody):
    """What is to be refused: exactly one of the first three. `revocations.py` parses them."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [field]} for field in FIELDS.values()]})

    jti: Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1})] = None
    user_id: Annotated[Any, WithJsonSchema(USER_ID_OR_INTEGER)] = None
    agent_id: Annotated[Any, WithJsonSchema(NAME)] = None
    until: Annotated[
        Any, WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]})
    ] = None
