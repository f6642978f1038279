"""Control messages as bytes: msgpack arrays. `sealing.py` seals them."""

from typing import Any

import msgpack

from ...shared.channels import Owner, OwnerKind
from ...shared.codes import CloseCode
from ...shared.errors import MalformedBytes
from ...shared.names import AgentId, SessionId, UserId
from ...shared.online import OnlineUser, OnlineUsers
from ...shared.publication import EncodedMessage
from ...shared.reports import SocketOutcome
from ...shared.revocations import Revocation
from ...shared.sessions import SessionInfo
from .requests import (
    CloseSessions,
    ControlMessage,
    DeliverReported,
    DeliverToSession,
    DeliverToUser,
    Drain,
    Draining,
    Evict,
    LeaseGranted,
    ListOnline,
    ListSessions,
    ReportDelivery,
    Response,
    RevocationChanged,
    SurveyAnswer,
    SurveyBody,
)


def pack_message(message: ControlMessage) -> bytes:
    parts: tuple[object, ...]
    match message:
        case DeliverToUser(request, reply_to, user_id, encoded):
            parts = ("user", request, reply_to, user_id, encoded.json, encoded.msgpack)
        case DeliverToSession(request, reply_to, agent_id, session_id, encoded):
            parts = ("session", request, reply_to, agent_id, session_id, encoded.json, encoded.msgpack)
        case CloseSessions(request, reply_to, owner, session_id):
            parts = ("close", request, reply_to, owner.kind, owner.name, session_id)
        case ListSessions(request, reply_to, user_id):
            parts = ("list", request, reply_to, user_id)
        case ReportDelivery(request, reply_to, address, token):
            parts = ("report", request, reply_to, address, token)
        case DeliverReported(request, reply_to, delivery):
            parts = ("reported", request, reply_to, pack_message(delivery))
        case ListOnline(request, reply_to, after, limit):
            parts = ("online", request, reply_to, after, limit)
        case Drain(request, reply_to):
            parts = ("drain", request, reply_to)
        case SurveyAnswer(request, incarnation, body):
            parts = ("answer", _pack_body(body), request, incarnation)
        case Response(request, sessions, listed):
            parts = ("delivered", request, sessions, [session.as_object() for session in listed])
        case Evict(owner, lease, code, count, displaced_by):
            parts = ("evict", owner.kind, owner.name, lease, int(code), count, displaced_by)
        case LeaseGranted(owner, lease):
            parts = ("granted", owner.kind, owner.name, lease)
        case RevocationChanged(revocation, before, after):
            parts = ("revocation", revocation.pack(), before, after)
    return msgpack.packb(parts)


def unpack_message(body: bytes) -> ControlMessage:
    """Raises MalformedBytes."""
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
            case ["report", int(request), bytes(reply_to), bytes(address), str(token)]:
                return ReportDelivery(request, reply_to, address, token)
            case ["reported", int(request), bytes(reply_to), bytes(delivery)]:
                return DeliverReported(request, reply_to, _unpack_delivery(delivery))
            case ["online", int(request), bytes(reply_to), str(after), int(limit)]:
                return ListOnline(request, reply_to, after, limit)
            case ["drain", int(request), bytes(reply_to)]:
                return Drain(request, reply_to)
            case ["answer", list(), int(request), str(incarnation)]:
                return SurveyAnswer(request, incarnation, _unpack_body(parts[1]))
            case ["delivered", int(request), int(sessions), list()]:
                return Response(request, sessions, tuple(map(SessionInfo.parse, parts[3])))
            case ["evict", str(kind), str(name), str(lease), int(code), int(count), str(by)]:
                return Evict(Owner(OwnerKind(kind), name), lease, CloseCode(code), count, by)
            case ["granted", str(kind), str(name), str(lease)]:
                return LeaseGranted(Owner(OwnerKind(kind), name), lease)
            case ["revocation", bytes(record), bytes(before), bytes(after)]:
                return RevocationChanged(Revocation.parse(record), before, after)
            case _:
                raise MalformedBytes(f"a control message of unknown form: {parts!r:.80}")
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise MalformedBytes(f"a control message of {len(body)} bytes: {error}") from error


def _unpack_delivery(packed: bytes) -> DeliverToUser | DeliverToSession:
    """Raises MalformedBytes."""
    delivery = unpack_message(packed)
    if isinstance(delivery, DeliverToUser | DeliverToSession):
        return delivery
    raise MalformedBytes(f"a delivery of another kind: {type(delivery).__name__}")


def _pack_body(body: SurveyBody) -> list[object]:
    match body:
        case SocketOutcome():
            return ["outcome", body.as_parts()]
        case OnlineUsers(users, more):
            return ["users", [user.as_parts() for user in users], more]
        case Draining():
            return ["draining"]


def _unpack_body(parts: list[Any]) -> SurveyBody:
    """Raises MalformedBytes."""
    match parts:
        case ["outcome", outcome]:
            return SocketOutcome.parse(outcome)
        case ["users", list(), bool(more)]:
            return OnlineUsers(tuple(map(OnlineUser.parse, parts[1])), more)
        case ["draining"]:
            return Draining()
        case _:
            raise MalformedBytes(f"an answer of unknown form: {parts!r:.80}")
