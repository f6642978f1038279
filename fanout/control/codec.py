"""What nodes tell each other, as bytes: msgpack arrays, sealed with an HMAC where a `CLUSTER_SECRET` is set."""

import hmac
from typing import Any

import msgpack

from ...shared.channels import Owner, OwnerKind
from ...shared.codes import CloseCode
from ...shared.errors import MalformedBytes
from ...shared.names import AgentId, SessionId, UserId
from ...shared.publication import EncodedMessage
from ...shared.sessions import SessionInfo
from .requests import (
    CloseSessions,
    ControlMessage,
    DeliverToSession,
    DeliverToUser,
    Evict,
    LeaseGranted,
    ListSessions,
    Response,
)

_SEAL_BYTES = 16


def _seal(body: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, body, "sha256")[:_SEAL_BYTES]


def pack_order(order: ControlMessage, secret: bytes) -> bytes:
    """`secret` is `CLUSTER_SECRET`; empty: a seal that anyone can make."""
    parts: tuple[object, ...]
    match order:
        case DeliverToUser():
            parts = ("user", order.request, order.reply_to, order.user_id, order.encoded.json, order.encoded.msgpack)
        case DeliverToSession():
            address = (order.agent_id, order.session_id)
            parts = ("session", order.request, order.reply_to, *address, order.encoded.json, order.encoded.msgpack)
        case CloseSessions(request, reply_to, owner, session_id):
            parts = ("close", request, reply_to, owner.kind, owner.name, session_id)
        case ListSessions():
            parts = ("list", order.request, order.reply_to, order.user_id)
        case Response():
            parts = ("delivered", order.request, order.sessions, [session.as_object() for session in order.listed])
        case Evict(owner, lease, code, count, displaced_by):
            parts = ("evict", owner.kind, owner.name, lease, int(code), count, displaced_by)
        case LeaseGranted(owner, lease):
            parts = ("granted", owner.kind, owner.name, lease)
    body = msgpack.packb(parts)
    return _seal(body, secret) + body


def unpack_order(data: bytes, secret: bytes) -> ControlMessage:
    """Raises MalformedBytes, also where the seal is not the cluster's."""
    seal, body = data[:_SEAL_BYTES], data[_SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(body, secret)):
        raise MalformedBytes("an order whose seal is not this cluster's: is CLUSTER_SECRET the same on all nodes?")
    try:
        parts: Any = msgpack.unpackb(body, raw=False)
        match parts:
            case ["user", int(request), bytes(reply_to), str(user), bytes(json), bytes(packed)]:
                return DeliverToUser(request, reply_to, UserId(user), EncodedMessage(json, packed))
            case ["session", int(request), bytes(reply_to), str(agent), str(session), bytes(json), bytes(packed)]:
                encoded = EncodedMessage(json, packed)
                return DeliverToSession(request, reply_to, AgentId(agent), SessionId(session), encoded)
            case ["close", int(request), bytes(reply_to), str(kind), str(name), str() | None as session_id]:
                owner = Owner(OwnerKind(kind), name)
                return CloseSessions(request, reply_to, owner, None if session_id is None else SessionId(session_id))
            case ["list", int(request), bytes(reply_to), str(user)]:
                return ListSessions(request, reply_to, UserId(user))
            case ["delivered", int(request), int(sessions), list()]:
                return Response(request, sessions, tuple(map(SessionInfo.parse, parts[3])))
            case ["evict", str(kind), str(name), str(lease), int(code), int(count), str(by)]:
                return Evict(Owner(OwnerKind(kind), name), lease, CloseCode(code), count, by)
            case ["granted", str(kind), str(name), str(lease)]:
                return LeaseGranted(Owner(OwnerKind(kind), name), lease)
            case _:
                raise MalformedBytes(f"an order of unknown form: {parts!r:.80}")
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedBytes(f"an order of {len(data)} bytes: {error}") from error
