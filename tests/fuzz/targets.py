"""What is fuzzed: each target parses one input, and may raise nothing but the exceptions that it documents."""

import asyncio
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgpack
import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from tannoy.fanout.control.codec import pack_message, unpack_message
from tannoy.fanout.control.requests import DeliverToUser, Evict, ListSessions, Response
from tannoy.fanout.pubsub.envelope import pack_publication, unpack_delivery
from tannoy.fanout.redis.connection import Pushes, RedisConnection
from tannoy.node.admission.handshake import Admission, Handshake
from tannoy.node.auth.claims import ExpectedClaims
from tannoy.node.auth.keys import from_secret, parse_jwks
from tannoy.node.auth.signing import sign_token
from tannoy.node.auth.token_problems import TokenRefused
from tannoy.node.auth.verifier import SingleKey, TokenVerifier
from tannoy.node.rfc6455 import FrameReader, Opcode
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.clock import SystemClock
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import BadName, BadRequest, MalformedBytes, ProtocolViolation
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import UserId, parse_agent, parse_node, parse_room, parse_session, parse_user, parse_username
from tannoy.shared.protocol.codec import JSON, MSGPACK, WireFormat, decode_command
from tannoy.shared.protocol.command_parser import BadCommand
from tannoy.shared.publication import EncodedMessage, Publication
from tannoy.shared.sessions import SessionInfo

from tests.support.client_frames import client_frame

MESSAGE_MAX_BYTES = 1024
SECRET = "a-secret-of-the-fuzzer-with-more-than-32-bytes"
KEYSPACE = Keyspace("tannoy")

Parse = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """`expected`: the exceptions that an input may raise. `parse` raises AssertionError where it accepts too much."""

    name: str
    corpus: tuple[bytes, ...]
    parse: Parse
    expected: tuple[type[Exception], ...]


# ---- frames of a client

_STREAM = (
    client_frame(Opcode.TEXT, b'{"type":"ping"}'),
    client_frame(Opcode.BINARY, bytes(300)),
    client_frame(Opcode.PING, b"x" * 125) + client_frame(Opcode.CLOSE, b"\x03\xe8bye"),
    client_frame(Opcode.TEXT, "ä".encode()[:1], fin=False) + client_frame(Opcode.CONTINUATION, "ä".encode()[1:]),
    client_frame(Opcode.BINARY, bytes(70_000))[:4096],
)


def _read_frames(data: bytes) -> None:
    reader = FrameReader(MESSAGE_MAX_BYTES)
    middle = len(data) // 3
    for piece in (data[:middle], data[middle:]):
        for event in reader.feed(piece):
            assert event is None or len(event.payload) <= MESSAGE_MAX_BYTES


# ---- commands

_COMMANDS: tuple[dict[str, object], ...] = (
    {"type": "auth", "token": "x.y.z", "id": 1},
    {"type": "join", "room": "lobby", "id": "a", "recover": {"epoch": "e", "offset": 7}, "observe": True},
    {"type": "message", "room": "lobby", "content": {"text": "hi", "n": [1, -1, 1.5, None, True, 2**63]}, "key": "k"},
    {"type": "private", "to": "ada|1", "content": "\U0001f600", "id": 2},
    {"type": "history", "room": "lobby", "limit": 10, "before": 5, "since": 1, "id": 3},
    {"type": "presence", "id": 4},
    {"type": "typing", "room": "lobby"},
    {"type": "leave", "room": "lobby"},
    {"type": "refresh", "token": "x", "id": 5},
    {"type": "ping", "id": 6},
)


def _decode(wire: WireFormat, data: bytes) -> None:
    """A value that was accepted can be told in both wire formats."""
    try:
        value = wire.decode(data)
    except BadRequest:
        value = None
    JSON.decode(JSON.encode(value))
    MSGPACK.decode(MSGPACK.encode(value))
    decode_command(data, binary=wire.binary, wire=wire)


# ---- names

_PARSERS = (parse_room, parse_agent, parse_user, parse_session, parse_node, parse_username)


def _parse_names(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for parse in _PARSERS:
        try:
            shown: str = parse(text)
        except BadName as refusal:
            shown = refusal.message
        assert 1 <= len(shown) <= 1000
        assert shown.replace("\u200d", "").isprintable(), shown


# ---- tokens

_NOW = time.time()
_TOKENS = tuple(
    token.encode()
    for token in (
        sign_token(SECRET, subject="ada", expires_at=_NOW + 1e8, rooms=["team.*"], username="Ada"),
        sign_token(SECRET, subject="bob", expires_at=_NOW + 1e8, agents=["42"], token_id="j"),
        sign_token(SECRET, subject="cyd", expires_at=_NOW - 1e8),
        sign_token("x" * 40, subject="ada", expires_at=_NOW + 1e8),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjQwMDAwMDAwMDB9.",
    )
)
_SIGNED = {token.rpartition(b".")[0] for token in _TOKENS[:2]}


def _verify(verifier: TokenVerifier, data: bytes) -> None:
    """Nothing is accepted but what was signed, whatever its signature looks like."""
    verifier.verify(data.decode("latin-1"))
    assert data.rpartition(b".")[0] in _SIGNED, data


def _token_verifier() -> TokenVerifier:
    return TokenVerifier(SingleKey(from_secret(SECRET)), ExpectedClaims("", ""), SystemClock(), lambda claims: False)


# ---- handshakes: path, query, and headers, one in a line

_HANDSHAKES = (
    b"/ws/chat/lobby\nuser_id=ada&username=Ada&epoch=e&offset=3\norigin: https://chat.example\nhost: chat.example",
    b"/ws/agents/42\nsession_id=s1\nauthorization: Bearer x.y.z\nhost: [::1]:8000",
    b"/ws\n\nsec-websocket-protocol: tannoy.v1.msgpack, bearer, x.y.z\norigin: null",
    b"/%77s/chat/%6C%zz\nuser_id=%00&user_id=+\norigin: https://chat.example.evil.example:99999",
)


def _decide(admission: Admission, data: bytes) -> None:
    path, _, rest = data.decode("latin-1").partition("\n")
    query, _, lines = rest.partition("\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines.split("\n"))}
    admission.decide(Handshake(path, query, headers))


# ---- Redis and the bus

_REPLIES = (
    b"+OK\r\n:1\r\n$5\r\nhello\r\n*2\r\n$1\r\na\r\n_\r\n",
    b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
    b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$6\r\nmaster\r\n",
    b"-NOAUTH Authentication required.\r\n,1.5\r\n#t\r\n(12345678901234567890\r\n=7\r\ntxt:abc\r\n",
    b"*-1\r\n$-1\r\n~2\r\n:1\r\n:2\r\n|1\r\n+k\r\n+v\r\n:3\r\n",
)


_announces_much = re.compile(rb"[*%~>|]\d{6}").search


def _read_replies(data: bytes) -> None:
    """As a connection does; it closes itself on bytes that are no RESP3.

    hiredis allocates as many elements as an array announces, up to 32 GB: who runs Redis is trusted not to do that
    (SECURITY.md), and this machine is spared it.
    """
    if _announces_much(data):
        return
    connection = RedisConnection(_ignore_pushes)
    connection.push_max_bytes = MESSAGE_MAX_BYTES
    for _ in range(20):
        connection.expect(_ignore_reply)
    middle = len(data) // 2
    connection.data_received(data[:middle])
    connection.data_received(data[middle:])


def _ignore_pushes(pushes: Pushes) -> None: ...


def _ignore_reply(reply: object) -> None: ...


def _encode(number: int) -> str:
    """A coordinate of P-256 in a JSON Web Key (RFC 7518 §6.2.1.2)."""
    return urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


_PUBLICATION = pack_publication(Publication(EncodedMessage(b'{"a":1}', b"\x81\xa1a\x01"), "s1"))
_CHANGE = b"\x02" + msgpack.packb(["lobby", "joined", 1, 5, "ada", "Ada", ["ada", "1|1795000000000|Ada"]])
_DELIVERIES = (
    _PUBLICATION,
    b"\x03epoch 12 " + _PUBLICATION,
    _CHANGE,
    b"\x02" + msgpack.packb(["lobby", "count", 2, 9]),
)
_CONTROL = tuple(
    pack_message(message)
    for message in (
        Evict(Owner(OwnerKind.AGENT, "42"), "s1", CloseCode.EVICTED, 10, "s2"),
        ListSessions(7, b"n1", UserId("ada")),
        Response(7, 1, (SessionInfo("s1", "ada", "Ada", "n1", "2026-11-30T00:00:00Z", "42"),)),
        DeliverToUser(7, b"n1", UserId("ada"), EncodedMessage(b"{}", b"\x80")),
    )
)
_POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
_KEY_SETS = (
    orjson.dumps({"keys": [{"kty": "EC", "kid": "c", "crv": "P-256", "x": _encode(_POINT.x), "y": _encode(_POINT.y)}]}),
    orjson.dumps(
        {"keys": [{"kty": "oct", "kid": "a", "k": "eHh4"}, {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"}]}
    ),
    orjson.dumps({"keys": [{"kty": "RSA", "kid": "b", "n": "x" * 342, "e": "AQAB", "alg": "RS256", "use": "sig"}]}),
)


def create_targets() -> tuple[Target, ...]:
    """All targets, with the objects that they use. Call it in a running event loop: a connection needs one."""
    asyncio.get_running_loop()
    verifier = _token_verifier()
    admission = Admission(KEYSPACE, ("https://chat.example",), verifier=verifier, allows_query_token=True)
    return (
        Target("frames", _STREAM, _read_frames, (ProtocolViolation,)),
        Target("json", tuple(map(orjson.dumps, _COMMANDS)), partial(_decode, JSON), (BadCommand,)),
        Target("msgpack", tuple(map(msgpack.packb, _COMMANDS)), partial(_decode, MSGPACK), (BadCommand,)),
        Target("names", (b"lobby", "Ada L\u00f6w".encode(), b"\n09:00:00 root", b"a" * 128, b"*"), _parse_names, ()),
        Target("tokens", _TOKENS, partial(_verify, verifier), (TokenRefused,)),
        Target("handshakes", _HANDSHAKES, partial(_decide, admission), ()),
        Target("resp3", _REPLIES, _read_replies, ()),
        Target("bus", _DELIVERIES, unpack_delivery, (MalformedBytes,)),
        Target("control", _CONTROL, unpack_message, (MalformedBytes,)),
        Target("jwks", _KEY_SETS, parse_jwks, (ValueError,)),
    )
