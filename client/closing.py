"""What the end of a connection means to a client: the rules of docs/protocol.md §2 and §5. No I/O."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ..shared.codes import CLOSE_RULES, CloseCode
from .errors import FINAL_ERRORS, ConnectionLost, SessionEnded

NO_FRAME: Mapping[str, Any] = {}
NO_CLOSE_FRAME = 1006
"""The close code of RFC 6455 for a connection that ended without a close frame."""
FIRST_FINAL_CODE = 4500


def describe_end(
    code: int | None, reason: str, bye: Mapping[str, Any], refusal: Mapping[str, Any] = NO_FRAME
) -> ConnectionLost:
    """Return the error of a connection that has ended: by its `bye`, and without one by its close frame.

    `code` is None if there was no close frame. `bye`, and `refusal`, the `error` that came in place of `welcome`, are
    empty if there was none.
    """
    found: int = bye.get("code", NO_CLOSE_FRAME if code is None else code)
    text = f"{found} {bye.get('reason', reason if code is not None else 'no close frame')}"
    if refusal:
        text += f": {refusal['message']}"
    if not _is_final(found, bye):
        return ConnectionLost(text, retry_after=_seconds(bye.get("retry_after")), code=found)
    return FINAL_ERRORS.get(found, SessionEnded)(text, is_final=True, code=found)


def _is_final(code: int, bye: Mapping[str, Any]) -> bool:
    if isinstance(bye.get("reconnect"), bool):
        return not bye["reconnect"]
    if code in (CloseCode.NORMAL, CloseCode.GOING_AWAY):
        return False  # no node closes with these: it is a proxy on the way that is stopped
    rule = CLOSE_RULES.get(CloseCode(code)) if code in CLOSE_RULES else None
    return code >= FIRST_FINAL_CODE if rule is None else not rule.reconnect


def describe_refusal(status: int, retry_after: str) -> ConnectionLost:
    """Return the error of a handshake that was answered with HTTP: 5xx and 429 are temporary, all other ones final.

    `retry_after` is the value of that header, empty without one.
    """
    seconds = float(retry_after) if retry_after.isdecimal() else None
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ConnectionLost(f"HTTP {status}", retry_after=seconds, code=status)
    return SessionEnded(f"HTTP {status}", is_final=True, code=status)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
