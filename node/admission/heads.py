"""What the head of a request has to be: its bounds, and those of RFC 6455 for a handshake; checked before all else."""

from collections.abc import Iterable, Mapping

from ...shared.codes import ErrorCode
from ...shared.errors import BadRequest, Refused
from ..rfc6455 import is_key
from .handshake import UPGRADE_HEADERS, Rejected
from .refusals import Reason

HEAD_MAX_BYTES = 16_384
"""The largest head of a request: its first line and its headers. A proxy's buffer for it has mostly this size."""
TARGET_MAX_BYTES = 4_096
"""The longest target of a request: its path and its query."""
HEADERS_MAX = 100
"""Headers of one request."""


def _too_large(status: int, message: str) -> Rejected:
    return Rejected(status, Refused(message, code=ErrorCode.TOO_LARGE), Reason.REQUEST)


HEAD_TOO_LARGE = _too_large(431, f"the head of a request may have at most {HEAD_MAX_BYTES} bytes")
TARGET_TOO_LONG = _too_large(414, f"the path and query of a request may have at most {TARGET_MAX_BYTES} bytes")
TOO_MANY_HEADERS = _too_large(431, f"a request may have at most {HEADERS_MAX} headers")
NOT_ONE_HOST = Rejected(400, BadRequest("a request has to have one Host"), Reason.REQUEST)
HAS_BODY = Rejected(400, BadRequest("a WebSocket handshake has no body"), Reason.HANDSHAKE)
TOO_EARLY = Rejected(400, BadRequest("frames have to wait for the answer to their handshake"), Reason.HANDSHAKE)


def check_head(target_bytes: int, headers: Iterable[tuple[bytes, bytes]]) -> Rejected | None:
    """Check a head that a server has read whole. `target_bytes`: the length of its target."""
    if target_bytes > TARGET_MAX_BYTES:
        return TARGET_TOO_LONG
    lengths = [len(name) + len(value) for name, value in headers]
    if len(lengths) > HEADERS_MAX:
        return TOO_MANY_HEADERS
    return HEAD_TOO_LARGE if target_bytes + sum(lengths) > HEAD_MAX_BYTES else None


def check_upgrade(headers: Mapping[str, str]) -> Rejected | None:
    """Check what RFC 6455 §4.2.1 asks of a handshake over HTTP/1.1, beside its method and the header Upgrade."""
    if (version := headers.get("sec-websocket-version", "")) != "13":
        message = f"Sec-WebSocket-Version is {version!r:.40}: this node speaks 13"
        return Rejected(426, BadRequest(message), Reason.HANDSHAKE, {"Sec-WebSocket-Version": "13", **UPGRADE_HEADERS})
    if not is_key(headers.get("sec-websocket-key", "")):
        return Rejected(400, BadRequest("Sec-WebSocket-Key has to be 16 bytes in Base64"), Reason.HANDSHAKE)
    if not headers.get("host"):
        return Rejected(400, BadRequest("the handshake has no Host"), Reason.HANDSHAKE)
    return None
