"""What a publisher is asked to publish, checked as the HTTP API checks it."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Required, TypedDict, cast

import orjson

from ..shared.channels import ChannelKind
from ..shared.clock import rfc3339
from ..shared.codes import ErrorCode
from ..shared.errors import Refused
from ..shared.names import StreamId, parse_agent, parse_room, parse_session, parse_stream
from ..shared.protocol.command_parser import parse_author, parse_key
from ..shared.protocol.decoding import check_value
from ..shared.protocol.frames import Author
from ..shared.streams import META_MAX_BYTES, StreamHeader
from .errors import PublishRefused, from_refusal

_FIELDS = frozenset({"content", "room", "agent_id", "user_id", "username", "key", "exclude_session"})
_NOBODY = Author(None, None, None)


class MessageFields(TypedDict, total=False):
    """One message of `many`: as in `POST /messages` of docs/protocol.md §6, it has a `room` or an `agent_id`."""

    content: Required[object]
    room: str
    agent_id: str
    user_id: str | int | None
    username: str | None
    key: str | None
    exclude_session: str | None


@dataclass(slots=True)
class ChannelMessage:
    """A message to all sessions in a channel but `exclude`. `key` is that of the caller, if any.

    All but the content is checked, which is when it is encoded.
    """

    kind: ChannelKind
    name: str
    content: object
    author: Author
    key: str | None = None
    exclude: str = ""


def check_message(
    kind: ChannelKind,
    name: str,
    content: object,
    user_id: str | int | None = None,
    username: str | None = None,
    key: str | None = None,
    exclude_session: str | None = None,
) -> ChannelMessage:
    """Raises PublishRefused."""
    try:
        known: str = parse_room(name) if kind is ChannelKind.ROOM else parse_agent(name)
        author = check_author(user_id, username)
        exclude = "" if exclude_session is None else parse_session(exclude_session)
        return ChannelMessage(kind, known, content, author, None if key is None else _check_key(key), exclude)
    except Refused as refusal:
        raise from_refusal(refusal) from None


def check_stream(
    agent: str | None,
    room: str | None,
    stream_id: str | None,
    meta: object,
    user_id: str | int | None,
    username: str | None,
) -> tuple[ChannelKind, str, StreamHeader]:
    """The channel of a stream, and its header. Raises PublishRefused."""
    if (agent is None) == (room is None):
        raise _bad("a stream has either an agent or a room")
    try:
        kind = ChannelKind.ROOM if agent is None else ChannelKind.AGENT
        name: str = parse_room(room) if agent is None else parse_agent(agent)
        known = StreamId(secrets.token_hex(8)) if stream_id is None else parse_stream(stream_id)
        author = check_author(user_id, username)
    except Refused as refusal:
        raise from_refusal(refusal) from None
    if len(encode_meta(meta)) > META_MAX_BYTES:
        raise _bad(f"meta may have at most {META_MAX_BYTES} bytes as JSON")
    return kind, name, StreamHeader(known, author.user_id, author.username, meta, rfc3339(time.time()))


def encode_meta(meta: object) -> bytes:
    """Raises PublishRefused."""
    try:
        check_value(meta)
        return orjson.dumps(meta)
    except (Refused, TypeError, ValueError) as error:
        raise _bad(f"meta has to be what JSON has: {error}") from error


def check_fields(message: Mapping[str, object]) -> ChannelMessage:
    """One message of `many`, whose author may have written anything. Raises PublishRefused."""
    if not message.keys() <= _FIELDS:
        named = ", ".join(sorted(f"{name!r:.40}" for name in message.keys() - _FIELDS)[:5])
        raise _bad(f"no field {named} here: allowed are {' '.join(sorted(_FIELDS))}")
    get = message.get
    room, agent = get("room"), get("agent_id")
    if (room is None) is (agent is None):
        raise _bad("a message names either a room or an agent_id")
    if "content" not in message:
        raise _bad("the field 'content' is missing")
    kind, name = (ChannelKind.ROOM, room) if agent is None else (ChannelKind.AGENT, agent)
    rest: Any = (get("user_id"), get("username"), get("key"), get("exclude_session"))  # each is checked there
    return check_message(kind, cast("str", name), message["content"], *rest)


def check_author(user_id: str | int | None, username: str | None) -> Author:
    """Raises PublishRefused."""
    try:
        return _NOBODY if user_id is None and username is None else parse_author(user_id, username)
    except Refused as refusal:
        raise from_refusal(refusal) from None


def _check_key(key: object) -> str | None:
    checked = parse_key({"key": key})
    if checked is not None and any("\ud800" <= character <= "\udfff" for character in checked):
        raise _bad("key has half of a surrogate pair, which is no character")
    return checked


def _bad(message: str) -> PublishRefused:
    return PublishRefused(message, ErrorCode.BAD_REQUEST)
