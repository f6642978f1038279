"""The bounds of a request's head, a handshake's or any other's: checked before anything is built from it."""

from collections.abc import Iterable

from ...shared.codes import ErrorCode
from ...shared.errors import BadRequest, Refused
from .handshake import Rejected
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
