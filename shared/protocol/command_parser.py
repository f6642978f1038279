"""The parser of commands, which is strict: `_FIELDS` names the fields of each command.

A missing, an unknown or a wrongly typed field is refused by its name.
"""

from collections.abc import Callable
from typing import TypeGuard, cast

from ..errors import BadRequest, Refused, TannoyError
from ..names import RoomName, parse_room, parse_stream, parse_user, parse_username
from ..publication import Position
from .commands import (
    OFFSET_MAX,
    PAGE_DEFAULT,
    PAGE_MAX,
    Authenticate,
    Command,
    GetHistory,
    GetPresence,
    HistoryQuery,
    Join,
    Leave,
    Message,
    Ping,
    Pong,
    Private,
    Refresh,
    StopStream,
    Typing,
)
from .decoding import INTEGER_MAX, INTEGER_MIN
from .frames import Author, CommandId, Object

ID_MAX_CHARACTERS = 128
KEY_MAX_CHARACTERS = 256

_FIELDS: dict[str, frozenset[str]] = {
    "join": frozenset({"type", "id", "room", "recover", "observe"}),
    "leave": frozenset({"type", "id", "room"}),
    "message": frozenset({"type", "id", "room", "content", "key"}),
    "private": frozenset({"type", "id", "to", "content"}),
    "typing": frozenset({"type", "id", "room"}),
    "stop": frozenset({"type", "id", "room", "stream_id"}),
    "ping": frozenset({"type", "id"}),
    "pong": frozenset({"type", "id"}),
    "auth": frozenset({"type", "id", "token"}),
    "presence": frozenset({"type", "id", "room"}),
    "history": frozenset({"type", "id", "room", "limit", "before", "since"}),
    "refresh": frozenset({"type", "id", "token"}),
}


class BadCommand(TannoyError):
    """A frame that is not a command. `id` is the command's, if it could be read; `refusal` is the answer."""

    def __init__(self, id: CommandId | None, refusal: Refused) -> None:
        super().__init__(refusal.message)
        self.id = id
        self.refusal = refusal


def parse_command(value: object) -> Command:
    """Parse the object of a decoded frame. Raises BadCommand."""
    id: CommandId | None = None
    try:
        if not isinstance(value, dict):
            raise BadRequest(f"a frame contains one object, not {_type_name(value)}")
        fields = cast("Object", value)
        id = _parse_id(fields)
        return _parse_fields(id, fields)
    except Refused as refusal:
        raise BadCommand(id, refusal) from refusal


def _parse_fields(id: CommandId | None, fields: Object) -> Command:
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        if "type" not in fields:
            raise BadRequest("the field 'type' is missing")
        raise BadRequest(f"unknown type {kind!r:.40}: allowed are {' '.join(_FIELDS)}")
    allowed = _FIELDS[kind]
    if not fields.keys() <= allowed:
        extra = ", ".join(sorted(repr(name)[:40] for name in fields.keys() - allowed)[:5])
        raise BadRequest(f"{kind} has no field {extra}: allowed are {' '.join(sorted(allowed))}")
    return _PARSERS[kind](id, fields)


def _parse_id(fields: Object) -> CommandId | None:
    id = fields.get("id")
    if id is None and "id" not in fields:
        return None
    if isinstance(id, int) and not isinstance(id, bool) and INTEGER_MIN <= id <= INTEGER_MAX:
        return id
    if isinstance(id, str) and len(id) <= ID_MAX_CHARACTERS:
        return id
    raise BadRequest(f"id has to be an integer of 64 bits or a string of at most {ID_MAX_CHARACTERS} characters")


def _require_id(id: CommandId | None) -> CommandId:
    """The id of a command that does nothing but answer. Raises BadRequest."""
    if id is None:
        raise BadRequest("the field 'id' is missing: without it this command has no answer, and does nothing else")
    return id


def find_id(value: object) -> CommandId | None:
    """The `id` of an object that can't be parsed to a command for another reason; None if it has none that is valid."""
    try:
        return _parse_id(cast("Object", value)) if isinstance(value, dict) else None
    except BadRequest:
        return None


def _parse_room(fields: Object) -> RoomName | None:
    return parse_room(fields["room"]) if "room" in fields else None


def _parse_join(id: CommandId | None, fields: Object) -> Join:
    recover = fields.get("recover")
    return Join(id, _parse_room(fields), None if recover is None else _parse_position(recover), _parse_observe(fields))


def _parse_observe(fields: Object) -> bool:
    observe = fields.get("observe", False)
    if not isinstance(observe, bool):
        raise BadRequest("observe has to be true or false")
    return observe


def _parse_position(value: object) -> Position:
    if isinstance(value, dict):
        fields = cast(Object, value)
        epoch, offset = fields.get("epoch"), fields.get("offset")
        if isinstance(epoch, str) and _is_count(offset) and len(fields) == 2:
            return Position(epoch, offset)
    raise BadRequest("recover has to be an object of epoch, a string, and offset, an integer from 0")


def parse_history_query(fields: Object) -> HistoryQuery:
    """Parse the fields `limit`, `before` and `since`. Raises BadRequest."""
    limit = fields.get("limit", PAGE_DEFAULT)
    if not _is_count(limit) or not 1 <= limit <= PAGE_MAX:
        raise BadRequest(f"limit has to be an integer from 1 to {PAGE_MAX}")
    return HistoryQuery(limit, _parse_offset(fields, "before"), _parse_offset(fields, "since"))


def _parse_offset(fields: Object, name: str) -> int | None:
    offset = fields.get(name)
    if offset is not None and not (_is_count(offset) and offset <= OFFSET_MAX):
        raise BadRequest(f"{name} has to be an offset: an integer from 0")
    return offset


def _parse_leave(id: CommandId | None, fields: Object) -> Leave:
    return Leave(id, _parse_room(fields))


def _parse_message(id: CommandId | None, fields: Object) -> Message:
    return Message(id, _parse_room(fields), require_field(fields, "content"), parse_key(fields))


def _parse_private(id: CommandId | None, fields: Object) -> Private:
    return Private(id, parse_user(require_field(fields, "to")), require_field(fields, "content"))


def _parse_typing(id: CommandId | None, fields: Object) -> Typing:
    return Typing(id, _parse_room(fields))


def _parse_token(fields: Object) -> str:
    token = require_field(fields, "token")
    if not isinstance(token, str):
        raise BadRequest("token has to be a string")
    return token


_PARSERS: dict[str, Callable[[CommandId | None, Object], Command]] = {
    "join": _parse_join,
    "leave": _parse_leave,
    "message": _parse_message,
    "private": _parse_private,
    "typing": _parse_typing,
    "presence": lambda id, fields: GetPresence(_require_id(id), _parse_room(fields)),
    "history": lambda id, fields: GetHistory(_require_id(id), _parse_room(fields), parse_history_query(fields)),
    "stop": lambda id, fields: StopStream(id, _parse_room(fields), parse_stream(require_field(fields, "stream_id"))),
    "ping": lambda id, _: Ping(id),
    "pong": lambda id, _: Pong(id),
    "auth": lambda id, fields: Authenticate(id, _parse_token(fields)),
    "refresh": lambda id, fields: Refresh(id, _parse_token(fields)),
}


def require_field(fields: Object, name: str) -> object:
    """The value of a field, which may be null. Raises BadRequest if the field is missing."""
    if name not in fields:
        raise BadRequest(f"the field {name!r} is missing")
    return fields[name]


def parse_author(user_id: object, username: object) -> Author:
    """The author that a back end names, if any. Raises BadName."""
    return Author.named(
        None if user_id is None else parse_user(user_id), None if username is None else parse_username(username)
    )


def parse_key(fields: Object) -> str | None:
    """The idempotency key: any text of 1 to KEY_MAX_CHARACTERS characters, or None. Raises BadRequest."""
    key = fields.get("key")
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= KEY_MAX_CHARACTERS:
        raise BadRequest(f"key has to be a string of 1 to {KEY_MAX_CHARACTERS} characters")
    return key


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _type_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "an array"
        case str():
            return "a string"
        case bool():
            return "a boolean"
        case _:
            return "a number"
