"""JSON Schemas of the values in commands, frames and bodies; and of objects, read from the dataclasses of the source.

They are of draft 7, which AsyncAPI 3.0 understands.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from ..channels import Channel
from ..codes import CloseCode, ErrorCode
from ..names import (
    CHARACTER_CLASS,
    NAME_MAX_CHARACTERS,
    USER_CHARACTER_CLASS,
    USERNAME_MAX_CHARACTERS,
    AgentId,
    NodeId,
    RoomName,
    SessionId,
    StreamId,
    UserId,
)
from ..publication import Position, StartPosition
from ..streams import StreamStatus
from .command_parser import ID_MAX_CHARACTERS, KEY_MAX_CHARACTERS
from .commands import OFFSET_MAX, PAGE_DEFAULT, PAGE_MAX, HistoryQuery
from .decoding import INTEGER_MAX, INTEGER_MIN
from .frames import Author, Resync
from .presence_frames import PresenceSnapshot
from .stream_frames import StreamFrame

Schema = dict[str, Any]


def _name(characters: str) -> Schema:
    return {"type": "string", "pattern": f"^[{characters}]+$", "minLength": 1, "maxLength": NAME_MAX_CHARACTERS}


NAME = _name(CHARACTER_CLASS)
"""Names of rooms, agents, sessions and nodes."""
USER_ID = _name(USER_CHARACTER_CLASS)
USER_ID_OR_INTEGER: Schema = {"anyOf": [USER_ID, {"type": "integer"}]}
"""In commands and bodies an integer is taken as its decimal text."""
USERNAME: Schema = {"type": "string", "minLength": 1, "maxLength": USERNAME_MAX_CHARACTERS}
KEY: Schema = {"type": "string", "minLength": 1, "maxLength": KEY_MAX_CHARACTERS}
COUNT: Schema = {"type": "integer", "minimum": 0}
OFFSET: Schema = {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX}
PAGE_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT}
TIME: Schema = {"type": "string", "format": "date-time"}
COMMAND_ID: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": INTEGER_MIN, "maximum": INTEGER_MAX},
        {"type": "string", "maxLength": ID_MAX_CHARACTERS},
    ]
}
NAMED: dict[str, Schema] = {"Name": NAME, "UserId": USER_ID, "CommandId": COMMAND_ID, "Time": TIME}
"""The values that have definitions of their own in a document."""


def refer_to(definition: str) -> Schema:
    return {"$ref": f"#/definitions/{definition}"}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


# ---- from types to schemas

_OF_TYPE: dict[object, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: COUNT,
    float: {"type": "number", "minimum": 0},
    object: {"description": "Any JSON value."},
    **dict.fromkeys((RoomName, AgentId, SessionId, NodeId, StreamId), refer_to("Name")),
    UserId: refer_to("UserId"),
    ErrorCode: {"type": "string", "enum": [code.value for code in ErrorCode]},
    StreamStatus: {"type": "string", "enum": list(StreamStatus)},
    CloseCode: {"type": "integer", "enum": [int(code) for code in CloseCode]},
}
OF_FIELD: dict[str, Schema] = {
    "id": refer_to("CommandId"),
    **dict.fromkeys(("timestamp", "connected_at", "expires_at"), refer_to("Time")),
}
"""Fields that mean the same everywhere. Times are numbers in the source, and RFC 3339 where they are sent."""
_FLAT = (Author, HistoryQuery, Position, PresenceSnapshot, StartPosition)
"""Types whose fields are those of the object that they are in."""
_SENT_AS_NULL = {
    *((Author, "user_id"), (Author, "username"), (Author, "session_id")),
    *((StreamFrame, "user_id"), (StreamFrame, "username"), (Resync, "position")),
}
"""Fields whose None is sent as null; any other None is left out."""
_NEVER_SENT = {(StartPosition, "missed")}


class Properties:
    """The properties of an object, which of them are `required`, and `conditions` on several of them.

    `given`: the schemas of fields by their names, whatever their types are.
    """

    def __init__(self, given: Mapping[str, Schema] = OF_FIELD) -> None:
        self._given = given
        self.schemas: dict[str, Schema] = {}
        self.required: list[str] = []
        self.conditions: Schema = {}

    def add(self, name: str, schema: Schema, *, required: bool) -> None:
        self.schemas[name] = schema
        if required:
            self.required.append(name)

    def add_fields(self, kinds: Mapping[str, Any]) -> None:
        """Add fields: their types by their names. One whose type is `X | None` may be left out."""
        for name, kind in kinds.items():
            plain, may_be_none = without_none(kind)
            self._add_field(name, plain, required=not may_be_none)

    def add_class(self, kind: type) -> None:
        """Add the fields of a dataclass or a named tuple that are not there yet. One with a default may be left out."""
        with_default = _fields_with_default(kind)
        for name, hint in get_type_hints(kind).items():
            if hint is ClassVar or name in self.schemas or (kind, name) in _NEVER_SENT:
                continue
            plain, may_be_none = without_none(hint)
            name = name.removesuffix("_")
            if (kind, name) in _SENT_AS_NULL:
                self.add_nullable(name, plain)
            else:
                self._add_field(name, plain, required=not may_be_none and name not in with_default)

    def _add_field(self, name: str, kind: Any, *, required: bool) -> None:
        if name in self._given:
            self.add(name, self._given[name], required=required)
        elif kind is Channel:
            self._add_channel(required=required)
        elif kind in _FLAT:
            flat = self._properties_of(kind)
            for inner, schema in flat.schemas.items():
                self.add(inner, schema, required=required and inner in flat.required)
        else:
            self.add(name, schema_of(kind), required=required)

    def add_nullable(self, name: str, kind: Any) -> None:
        """Add a field that is always there, and null where it is not set."""
        schemas = self._properties_of(kind).schemas if kind in _FLAT else {name: schema_of(kind)}
        for inner, schema in schemas.items():
            self.add(inner, nullable(schema), required=True)

    def _properties_of(self, kind: type) -> "Properties":
        properties = Properties(self._given)
        properties.add_class(kind)
        return properties

    def _add_channel(self, *, required: bool) -> None:
        """A channel is sent as `room` or as `agent_id`."""
        self.add("room", refer_to("Name"), required=False)
        self.add("agent_id", refer_to("Name"), required=False)
        if required:
            self.conditions["oneOf"] = [{"required": ["room"]}, {"required": ["agent_id"]}]
        else:
            self.conditions["not"] = {"required": ["room", "agent_id"]}

    def as_schema(self) -> Schema:
        required = {"required": self.required} if self.required else {}
        return {"type": "object", "properties": self.schemas, **required, **self.conditions}


def _fields_with_default(kind: type) -> set[str]:
    if not is_dataclass(kind):
        return set()
    return {each.name for each in fields(kind) if each.default is not MISSING}


def without_none(kind: Any) -> tuple[Any, bool]:
    """A type without None, and whether None was among its members."""
    if get_origin(kind) not in (Union, UnionType):
        return kind, False
    members = tuple(each for each in get_args(kind) if each is not NoneType)
    return Union[members], len(members) < len(get_args(kind))  # noqa: UP007 - of a tuple


def schema_of(kind: Any) -> Schema:
    """The schema of a type; a class refers to the definition of its name.

    Raises KeyError for a type that no field had before: it needs a line in a table.
    """
    if get_origin(kind) is Literal:
        return {"type": "string", "enum": list(get_args(kind))}
    if get_origin(kind) in (tuple, list):
        return {"type": "array", "items": schema_of(get_args(kind)[0])}
    if isinstance(kind, type) and is_dataclass(kind):
        return refer_to(kind.__name__)
    return _OF_TYPE[kind]
