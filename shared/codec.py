"""The only place that knows bytes: two wire formats for clients, one envelope and one order format for the bus.

Envelope of a publication (all integers big-endian):

    1 byte   version, 1
    1 byte   length of `exclude`
    4 bytes  length of the JSON
    …        exclude · JSON · msgpack

Both wire formats travel ready-made, so that a node that delivers never parses or encodes: it frames and copies.
Orders between nodes are msgpack arrays, sealed with an HMAC where a `CLUSTER_SECRET` is set.
"""

import hmac
import itertools
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import msgpack
import orjson

from .commands import BadCommand, Command, parse_command
from .errors import BadRequest, TannoyError
from .messages import Delivered, DeliverToSession, DeliverToUser, NodeFrame, Order, Publication, ReadyBytes
from .names import AgentId, SessionId, UserId

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
_ENVELOPE = struct.Struct(">BBI")


def pack_publication(publication: Publication) -> bytes:
    exclude, json = publication.exclude.encode(), publication.ready.json
    return b"".join((_ENVELOPE.pack(_VERSION, len(exclude), len(json)), exclude, json, publication.ready.msgpack))


def unpack_publication(data: bytes) -> Publication:
    """Raises MalformedBytes."""
    try:
        version, exclude_length, json_length = _ENVELOPE.unpack_from(data)
        start = _ENVELOPE.size + exclude_length
        exclude = data[_ENVELOPE.size : start].decode() if exclude_length else ""
    except (struct.error, UnicodeDecodeError) as error:
        raise MalformedBytes(f"an envelope of {len(data)} bytes: {error}") from error
    if version != _VERSION or len(data) < start + json_length:
        raise MalformedBytes(f"an envelope of version {version} and {len(data)} bytes")
    return Publication(ReadyBytes(data[start : start + json_length], data[start + json_length :]), exclude)


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
        case Delivered():
            parts = ("delivered", order.request, order.sessions)
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
            case ["delivered", int(request), int(sessions)]:
                return Delivered(request, sessions)
            case _:
                raise MalformedBytes(f"an order of unknown form: {parts!r:.80}")
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedBytes(f"an order of {len(data)} bytes: {error}") from error
