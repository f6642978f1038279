"""The only place that knows bytes: two wire formats for clients, one envelope and one order format for the bus.

Envelope of a publication (all integers big-endian):

    1 byte   version, 1
    1 byte   length of `exclude`
    4 bytes  length of the JSON
    …        exclude · JSON · msgpack

Both wire formats travel ready-made, so that a node that delivers never parses or encodes: it frames and copies.

Changes of a room's presence are told by Redis itself (`lua/presence_common.lua`), as a msgpack array behind a byte 2:

    room, "count", users_count, version
    room, "joined" or "left", users_count, version, user_id, username, users or false

`users` is flat, as in every answer of the presence scripts: user_id, "SESSIONS|CONNECTED_AT|USERNAME", user_id, …

Orders between nodes are msgpack arrays, sealed with an HMAC where a `CLUSTER_SECRET` is set.
"""

import hmac
import itertools
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import msgpack
import orjson

from .channels import Owner, OwnerKind
from .close import CloseCode
from .commands import BadCommand, Command, parse_command
from .errors import BadRequest, TannoyError
from .messages import NodeFrame, Object, PresenceCount, PresentUser, Publication, ReadyBytes, UserJoined, UserLeft
from .names import AgentId, RoomName, SessionId, UserId
from .orders import CloseSessions, Delivered, DeliverToSession, DeliverToUser, Evict, Granted, ListSessions, Order

MAX_DEPTH = 64
"""Levels of nesting that a frame may have. What nests deeper is an attack on somebody's recursive parser."""


class MalformedBytes(TannoyError):
    """Bytes from the bus that no node of this cluster and version has written."""


# ---- what clients send and receive


@dataclass(frozen=True, slots=True, eq=False)
class WireFormat:
    """How objects become frames on one connection. `binary` says which frame type carries them."""

    name: str
    subprotocol: str
    binary: bool
    encode: Callable[[object], bytes]
    decode: Callable[[bytes], object]


def _decode_json(data: bytes) -> object:
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"this is not JSON: {error}") from error
    # Opening brackets are an upper bound of the depth; only a frame that has many is walked.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_tree(value)
    return value


def _decode_msgpack(data: bytes) -> object:
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise BadRequest(f"this is not msgpack: {error or type(error).__name__}") from error
    _check_tree(value)
    return value


def _check_tree(root: object) -> None:
    """Refuse what JSON cannot say, so that both formats carry the same objects, and what nests too deep."""
    level: list[object] = [root]
    for depth in itertools.count(1):
        below: list[object] = []
        for value in level:
            if depth > MAX_DEPTH and isinstance(value, (dict, list)):
                raise BadRequest(f"this nests deeper than {MAX_DEPTH} levels")
            if isinstance(value, dict):
                for key, item in cast("dict[object, object]", value).items():
                    if not isinstance(key, str):
                        raise BadRequest(f"keys of an object have to be strings, not {type(key).__name__}")
                    below.append(item)
            elif isinstance(value, list):
                below.extend(cast("list[object]", value))
            elif isinstance(value, float) and not math.isfinite(value):
                raise BadRequest("numbers have to be finite: NaN and infinity are not allowed")
            elif value is not None and not isinstance(value, (str, int, float, bool)):
                raise BadRequest(f"only JSON types are allowed, not {type(value).__name__}")
        if not below:
            return
        level = below


JSON = WireFormat("json", "tannoy.v1.json", False, orjson.dumps, _decode_json)
MSGPACK = WireFormat(
    "msgpack", "tannoy.v1.msgpack", True, cast("Callable[[object], bytes]", msgpack.packb), _decode_msgpack
)
WIRE_FORMATS: dict[str, WireFormat] = {wire.subprotocol: wire for wire in (JSON, MSGPACK)}


def decode_command(data: bytes, *, binary: bool, wire: WireFormat) -> Command:
    """The command in one frame. Raises BadCommand."""
    try:
        if binary is not wire.binary:
            got, wanted = ("binary", "text") if binary else ("text", "binary")
            raise BadRequest(f"a {got} frame on a socket that speaks {wire.subprotocol}: {wanted} frames are allowed")
        value = wire.decode(data)
    except BadRequest as refusal:
        raise BadCommand(None, refusal) from refusal
    return parse_command(value)


def encode_ready(frame: NodeFrame) -> ReadyBytes:
    """Encode once, for all receivers on all nodes."""
    whole = frame.as_object()
    return ReadyBytes(orjson.dumps(whole), msgpack.packb(whole))


# ---- what travels on the bus

_VERSION = 1
_PRESENCE = b"\x02"
_CHANGES: dict[bytes, type[UserJoined | UserLeft]] = {b"joined": UserJoined, b"left": UserLeft}
_read_entry = re.compile(rb"(\d{1,9})\|(\d{1,14})\|(.*)", re.DOTALL).fullmatch
_ENVELOPE = struct.Struct(">BBI")


def pack_publication(publication: Publication) -> bytes:
    exclude, json = publication.exclude.encode(), publication.ready.json
    return b"".join((_ENVELOPE.pack(_VERSION, len(exclude), len(json)), exclude, json, publication.ready.msgpack))


def unpack_publication(data: bytes) -> Publication:
    """Raises MalformedBytes."""
    if data[:1] == _PRESENCE:
        return _unpack_presence(data)
    try:
        version, exclude_length, json_length = _ENVELOPE.unpack_from(data)
        start = _ENVELOPE.size + exclude_length
        exclude = data[_ENVELOPE.size : start].decode() if exclude_length else ""
    except (struct.error, UnicodeDecodeError) as error:
        raise MalformedBytes(f"an envelope of {len(data)} bytes: {error}") from error
    if version != _VERSION or len(data) < start + json_length:
        raise MalformedBytes(f"an envelope of version {version} and {len(data)} bytes")
    return Publication(ReadyBytes(data[start : start + json_length], data[start + json_length :]), exclude)


def _unpack_presence(data: bytes) -> Publication:
    try:
        change = _read_change(msgpack.unpackb(data[1:], raw=True))
        return Publication(encode_ready(change), version=change.version)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedBytes(f"a change of presence of {len(data)} bytes: {error}") from error


def _read_change(parts: Any) -> UserJoined | UserLeft | PresenceCount:
    match parts:
        case [bytes(room), b"count", int(users_count), int(version)] if version > 0:
            return PresenceCount(RoomName(room.decode()), users_count, version)
        case [bytes(room), bytes(kind), int(users_count), int(version), bytes(user_id), bytes(username), flat] if (
            version > 0 and kind in _CHANGES
        ):
            users = None if flat is False else read_users(flat)
            who = UserId(user_id.decode()), username.decode()
            return _CHANGES[kind](RoomName(room.decode()), *who, users_count, version, users)
        case _:
            raise ValueError(f"of unknown form: {parts!r:.80}")


def read_users(flat: object) -> tuple[PresentUser, ...]:
    """The users of an answer of the presence scripts, those first who came first. Raises ValueError."""
    if not isinstance(flat, list):
        raise ValueError(f"users of unknown form: {flat!r:.80}")
    listed, users = cast("list[object]", flat), list[PresentUser]()
    for user_id, entry in zip(listed[::2], listed[1::2], strict=True):
        parts = _read_entry(entry) if isinstance(entry, bytes) else None
        if parts is None or not isinstance(user_id, bytes):
            raise ValueError(f"a user of unknown form: {user_id!r:.40} {entry!r:.40}")
        sessions, connected_at, username = parts.groups()
        users.append(PresentUser(UserId(user_id.decode()), username.decode(), int(connected_at), int(sessions)))
    users.sort(key=lambda user: (user.connected_at, user.user_id))
    return tuple(users)


_SEAL_BYTES = 16


def _seal(body: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, body, "sha256")[:_SEAL_BYTES]


def pack_order(order: Order, secret: bytes) -> bytes:
    """`secret` is `CLUSTER_SECRET`; empty: a seal that anyone can make."""
    parts: tuple[object, ...]
    match order:
        case DeliverToUser():
            parts = ("user", order.request, order.reply_to, order.user_id, order.ready.json, order.ready.msgpack)
        case DeliverToSession():
            address = (order.agent_id, order.session_id)
            parts = ("session", order.request, order.reply_to, *address, order.ready.json, order.ready.msgpack)
        case CloseSessions(request, reply_to, owner, session_id):
            parts = ("close", request, reply_to, owner.kind, owner.name, session_id)
        case ListSessions():
            parts = ("list", order.request, order.reply_to, order.user_id)
        case Delivered():
            parts = ("delivered", order.request, order.sessions, order.listed)
        case Evict(owner, lease, code, count, displaced_by):
            parts = ("evict", owner.kind, owner.name, lease, int(code), count, displaced_by)
        case Granted(owner, lease):
            parts = ("granted", owner.kind, owner.name, lease)
    body = msgpack.packb(parts)
    return _seal(body, secret) + body


def unpack_order(data: bytes, secret: bytes) -> Order:
    """Raises MalformedBytes, also where the seal is not the cluster's."""
    seal, body = data[:_SEAL_BYTES], data[_SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(body, secret)):
        raise MalformedBytes("an order whose seal is not this cluster's: is CLUSTER_SECRET the same on all nodes?")
    try:
        parts: Any = msgpack.unpackb(body, raw=False)
        match parts:
            case ["user", int(request), bytes(reply_to), str(user), bytes(json), bytes(packed)]:
                return DeliverToUser(request, reply_to, UserId(user), ReadyBytes(json, packed))
            case ["session", int(request), bytes(reply_to), str(agent), str(session), bytes(json), bytes(packed)]:
                ready = ReadyBytes(json, packed)
                return DeliverToSession(request, reply_to, AgentId(agent), SessionId(session), ready)
            case ["close", int(request), bytes(reply_to), str(kind), str(name), str() | None as session_id]:
                owner = Owner(OwnerKind(kind), name)
                return CloseSessions(request, reply_to, owner, None if session_id is None else SessionId(session_id))
            case ["list", int(request), bytes(reply_to), str(user)]:
                return ListSessions(request, reply_to, UserId(user))
            case ["delivered", int(request), int(sessions), list()]:
                return Delivered(request, sessions, tuple(cast("list[Object]", parts[3])))
            case ["evict", str(kind), str(name), str(lease), int(code), int(count), str(by)]:
                return Evict(Owner(OwnerKind(kind), name), lease, CloseCode(code), count, by)
            case ["granted", str(kind), str(name), str(lease)]:
                return Granted(Owner(OwnerKind(kind), name), lease)
            case _:
                raise MalformedBytes(f"an order of unknown form: {parts!r:.80}")
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedBytes(f"an order of {len(data)} bytes: {error}") from error
