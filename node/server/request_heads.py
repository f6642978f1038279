"""What a node reads from the head of a request by itself: its upgrade, its body, and the form of its target."""

from collections.abc import Sequence

import httptools

from ...shared.errors import TannoyError
from ..admission.handshake import Rejected
from ..admission.heads import HAS_BODY, HEAD_MAX_BYTES, TOO_EARLY

Fields = Sequence[tuple[bytes, bytes]]
"""Headers; their names are in lower case."""


class TooManyPipelined(TannoyError):
    """Stops the parser."""


class HeadRejected(TannoyError):
    """Stops the parser."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.refusal.message)
        self.rejected = rejected


def has_one_host(fields: Fields, version: str) -> bool:
    """Whether there is one Host, as RFC 9112 §3.2 asks; HTTP/1.0 needs none."""
    hosts = [name for name, _ in fields].count(b"host")
    return hosts == 1 or (hosts == 0 and version != "1.1")


def has_body(fields: Fields) -> bool:
    lengths = [value for name, value in fields if name in (b"content-length", b"transfer-encoding")]
    return lengths not in ([], [b"0"])


def check_handshake(fields: Fields, rest: bytes) -> Rejected | None:
    """What is wrong with a handshake beside its headers. `rest`: what has come behind its head."""
    if has_body(fields):
        return HAS_BODY
    return TOO_EARLY if len(rest) > HEAD_MAX_BYTES else None


def list_tokens(fields: Fields, wanted: bytes) -> list[bytes]:
    """The tokens of a header that is a list, in lower case."""
    values = b",".join([value for name, value in fields if name == wanted])
    return [token for token in map(bytes.strip, values.lower().split(b",")) if token]


def split_absolute(target: bytes) -> tuple[bytes, bytes] | None:
    """Authority and path of a target in absolute form (RFC 9112 §3.2.2); None: it is in another form."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https", b"ws", b"wss"):
        return None
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    path = rest[len(authority) :]
    return authority, path if path.startswith(b"/") else b"/" + path


def encode_without_upgrade(method: bytes, target: bytes, version: str, fields: Fields) -> bytes:
    """The head of the same request, without the upgrade that it offers."""
    connection = [token for token in list_tokens(fields, b"connection") if token != b"upgrade"]
    kept = [(name, value) for name, value in fields if name not in (b"upgrade", b"connection")]
    if connection:
        kept.append((b"connection", b", ".join(connection)))  # one header: headers are counted
    lines = [b"%s: %s\r\n" % field for field in kept]
    return b"%s %s HTTP/%s\r\n%s\r\n" % (method, target, version.encode(), b"".join(lines))


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """A parser as uvicorn sets it up, which calls methods of `protocol`."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
