"""The types of `docs/protocol.md §6` as pydantic fields: parsed by the contract's own parsers, described for OpenAPI.

A parser raises Refused, which is no ValueError: pydantic passes it through, so a bad value has the same error code and
sentence here as in a frame.
"""

from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator

from ...shared.errors import BadRequest
from ...shared.names import (
    AgentId,
    NodeId,
    RoomName,
    SessionId,
    StreamId,
    UserId,
    parse_agent,
    parse_node,
    parse_room,
    parse_session,
    parse_stream,
    parse_user,
    parse_username,
)
from ...shared.policy import LimitPolicy
from ...shared.protocol.command_parser import parse_key, require_field
from ...shared.protocol.field_schemas import KEY, NAME, USER_ID, USER_ID_OR_INTEGER, USERNAME, nullable
from ...shared.protocol.frames import Object
from ...shared.settings import LIMIT_MAX
from .requests import check_fields

SESSIONS_LIMIT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}
POLICY: dict[str, Any] = {"type": "string", "enum": list(LimitPolicy)}


def _unless_null(parse: Callable[[object], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: None if value is None else parse(value))


def parse_report(value: object) -> bool:
    """Whether the answer is to say what became of the message at the sockets. Raises BadRequest."""
    if isinstance(value, bool):
        return value
    raise BadRequest("report has to be true or false")


def parse_max_sessions(value: object) -> int:
    """Raises BadRequest."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LIMIT_MAX:
        return value
    raise BadRequest(f"max_sessions has to be an integer from 1 to {LIMIT_MAX}")


def parse_policy(value: object) -> LimitPolicy:
    """Raises BadRequest."""
    if isinstance(value, str) and value in list(LimitPolicy):
        return LimitPolicy(value)
    raise BadRequest(f"policy has to be one of: {', '.join(LimitPolicy)}")


# ---- fields of bodies

OptionalUser = Annotated[UserId | None, _unless_null(parse_user), WithJsonSchema(nullable(USER_ID_OR_INTEGER))]
OptionalUsername = Annotated[str | None, _unless_null(parse_username), WithJsonSchema(nullable(USERNAME))]
OptionalSession = Annotated[SessionId | None, _unless_null(parse_session), WithJsonSchema(nullable(NAME))]
OptionalKey = Annotated[
    str | None, BeforeValidator(lambda value: parse_key({"key": value})), WithJsonSchema(nullable(KEY))
]
Content = Annotated[Any, WithJsonSchema({"description": "Any JSON value."})]
Report = Annotated[bool, BeforeValidator(parse_report), WithJsonSchema({"type": "boolean", "default": False})]
MaxSessions = Annotated[int, BeforeValidator(parse_max_sessions), WithJsonSchema(SESSIONS_LIMIT)]
Policy = Annotated[LimitPolicy, BeforeValidator(parse_policy), WithJsonSchema(POLICY)]

# ---- parameters of paths

RoomPath = Annotated[RoomName, Path(), BeforeValidator(parse_room), WithJsonSchema(NAME)]
AgentPath = Annotated[AgentId, Path(), BeforeValidator(parse_agent), WithJsonSchema(NAME)]
SessionPath = Annotated[SessionId, Path(), BeforeValidator(parse_session), WithJsonSchema(NAME)]
UserPath = Annotated[UserId, Path(), BeforeValidator(parse_user), WithJsonSchema(USER_ID)]
StreamPath = Annotated[StreamId, Path(), BeforeValidator(parse_stream), WithJsonSchema(NAME)]
NodePath = Annotated[NodeId, Path(), BeforeValidator(parse_node), WithJsonSchema(NAME)]


class ContractBody(BaseModel):
    """A body: one object with these fields and no others. Validating one raises Refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, value: object) -> object:
        if not isinstance(value, dict):
            raise BadRequest("the body has to be one JSON object")
        fields = cast("Object", value)
        names = {field.alias or name: field for name, field in cls.model_fields.items()}
        check_fields(fields, *names)
        for name, field in names.items():
            if field.is_required():
                require_field(fields, name)
        return fields
