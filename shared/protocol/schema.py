"""The JSON Schema of every command, frame and answer, read from the dataclasses of the source.

`python -m tannoy.shared.protocol.schema` prints it; `make schema` writes it to docs/protocol.schema.json.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..names import RoomName, UserId
from ..publication import Position, StartPosition
from ..sessions import SessionInfo
from .commands import Command, GetHistory
from .field_schemas import (
    COUNT,
    KEY,
    NAMED,
    OF_FIELD,
    OFFSET,
    PAGE_LIMIT,
    USER_ID_OR_INTEGER,
    Properties,
    Schema,
    nullable,
    refer_to,
)
from .frames import (
    ByeFrame,
    CommandId,
    MessageFrame,
    NodeFrame,
    OkFrame,
    PrivateFrame,
)
from .presence_frames import PresenceSnapshot, PresentUser

_RECOVER: Schema = {
    "type": "object",
    "properties": {"epoch": {"type": "string"}, "offset": COUNT},
    "required": ["epoch", "offset"],
    "additionalProperties": False,
}
_IN_COMMANDS: dict[str, Schema] = {
    "recover": nullable(_RECOVER),
    "key": nullable(KEY),
    "to": USER_ID_OR_INTEGER,
    "limit": PAGE_LIMIT,
    "before": nullable(OFFSET),
    "since": nullable(OFFSET),
}
"""Fields of commands that the parser takes in other forms than their types tell."""

ANSWERS: dict[str, dict[str, Any]] = {
    "auth": {},
    "join": {"room": RoomName, "snapshot": PresenceSnapshot, "start": StartPosition},
    "leave": {"room": RoomName},
    "message": {"position": Position | None},
    "private": {"sessions": int},
    "typing": {},
    "presence": {
        "users": list[PresentUser],
        "users_count": int,
        "version": int | None,
        "sessions": list[SessionInfo] | None,
        "more": bool | None,
    },
    "history": {  # and a position, which may be null
        "messages": list[MessageFrame],
        "more": bool | None,
        "gaps": list[list[int]] | None,
    },
    "stop": {},
    "refresh": {"expires_at": float},
}
"""What the `ok` of each command carries: types by the names of fields."""


_SHARED = (PresentUser, SessionInfo)
"""Classes that several of them refer to."""
_DESCRIPTION = (
    "What clients send (…Command), what nodes send (…Frame), and what the ok of each command carries (…Answer); "
    "docs/protocol.md, sections 3 and 4, say what it means. A command has no other fields than these; frames and "
    "answers may get more in later versions. Integers are written without a fraction."
)


def build_schema() -> Schema:
    """The whole document, of JSON Schema's draft 7. It describes a Command, or a Frame, of any type."""
    commands = {_title(kind.type, "Command"): _command_schema(kind) for kind in get_args(Command)}
    frames = {_title(name, "Frame"): _frame_schema(kind, name) for kind, name in frame_types()}
    answers = {_title(name, "Answer"): _answer_schema(name, kinds) for name, kinds in ANSWERS.items()}
    shared = {kind.__name__: _class_schema(kind) for kind in _SHARED}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Tannoy, protocol version 1",
        "description": _DESCRIPTION,
        "anyOf": [refer_to("Command"), refer_to("Frame")],
        "definitions": {
            "Command": _any_of(commands),
            "Frame": _any_of(frames),
            **commands,
            **frames,
            **answers,
            **shared,
            **NAMED,
        },
    }


def frame_types() -> list[tuple[type[NodeFrame], str]]:
    """All classes of frames, each with the values of its `type`."""
    return [(kind, name) for kind in get_args(NodeFrame) for name in _types_of(kind)]


def _types_of(frame: type[NodeFrame]) -> tuple[str, ...]:
    hint = get_type_hints(frame)["type"]
    return get_args(hint) if get_origin(hint) is Literal else (vars(frame)["type"],)


def _command_schema(kind: type[Command]) -> Schema:
    properties = _properties_with_type(kind.type, OF_FIELD | _IN_COMMANDS)
    properties.add_class(kind)
    return properties.as_schema() | {"additionalProperties": False}


def _frame_schema(kind: type[NodeFrame], name: str) -> Schema:
    properties = _properties_with_type(name)
    if kind is OkFrame:
        properties.add_fields({"id": CommandId})
    elif kind is PrivateFrame:
        properties.add_nullable("from_user_id", UserId)
        properties.add_nullable("from_username", str)
        properties.add_fields({"content": object, "timestamp": str})
    else:
        properties.add_class(kind)
    if kind is MessageFrame:
        properties.add_fields({"offset": int | None})
    if kind is ByeFrame:
        properties.add_fields({"reason": str, "reconnect": bool})
    return properties.as_schema()


def _answer_schema(command: str, kinds: dict[str, Any]) -> Schema:
    properties = _properties_with_type(OkFrame.type)
    properties.add_fields({"id": CommandId, **kinds})
    if command == GetHistory.type:
        properties.add_nullable("position", Position)
    return properties.as_schema()


def _class_schema(kind: type) -> Schema:
    properties = Properties()
    properties.add_class(kind)
    return properties.as_schema()


def _properties_with_type(name: str, given: Mapping[str, Schema] = OF_FIELD) -> Properties:
    properties = Properties(given)
    properties.add("type", {"const": name}, required=True)
    return properties


def _any_of(schemas: dict[str, Schema]) -> Schema:
    return {"anyOf": [refer_to(name) for name in schemas]}


def _title(name: str, kind: str) -> str:
    return "".join(word.capitalize() for word in name.split("_")) + kind


def encode_schema() -> str:
    """The document as text."""
    return json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(encode_schema())
