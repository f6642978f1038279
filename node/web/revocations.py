"""Handlers of the HTTP API for revocations."""

import asyncio
import math
import re
from datetime import datetime

from starlette.requests import Request

from ...fanout.batches import batched
from ...shared.errors import BadRequest
from ...shared.protocol.frames import Object
from ...shared.revocations import FIELDS, RevocationKind, parse_value
from .bodies import RevocationBody
from .requests import node_of, not_found

UNTIL_DEFAULT_SECONDS = 30 * 86_400
"""For which something is revoked if `until` is missing."""
LISTED_PER_TURN = 500
"""Revocations that are listed in one turn of the event loop."""
AHEAD_MAX_SECONDS = 315_576_000
"""How far ahead `until` may lie: ten years of 365.25 days."""
_is_rfc3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)").fullmatch


async def revoke(request: Request, body: RevocationBody) -> Object:
    """Refuse a token, a user or an agent on all nodes, and close its sessions (4501)."""
    node, fields = node_of(request), body.model_dump(exclude_unset=True)
    kind, value = parse_target(fields)
    now = node.clock.now()
    until = parse_until(fields["until"], now) if "until" in fields else math.ceil(now) + UNTIL_DEFAULT_SECONDS
    return (await node.bus.revocations.revoke(kind, value, until)).as_object()


async def list_revocations(request: Request) -> Object:
    """What is revoked, the newest first."""
    listed: list[Object] = []
    for group in batched(node_of(request).bus.revocations.list_active(), LISTED_PER_TURN):
        listed += [revocation.as_object() for revocation in group]
        await asyncio.sleep(0)  # sessions are served meanwhile
    return {"revocations": listed}


async def delete_revocation(request: Request, id: str) -> None:
    """Take a revocation back."""
    if not await node_of(request).bus.revocations.lift(id):
        raise not_found(f"there is no revocation {id!r:.80}")


def parse_target(fields: Object) -> tuple[RevocationKind, str]:
    """What is to be revoked: exactly one of the three. Raises BadRequest and BadName."""
    named = [kind for kind, field in FIELDS.items() if field in fields]
    if len(named) != 1:
        raise BadRequest(f"exactly one of these fields has to be there: {' '.join(FIELDS.values())}")
    (kind,) = named
    return kind, parse_value(kind, fields[FIELDS[kind]])


def parse_until(value: object, now: float) -> int:
    """A time in whole Unix seconds, rounded up, of RFC 3339 or of Unix seconds. Raises BadRequest."""
    seconds = _parse_rfc3339(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadRequest("until has to be a time: RFC 3339, or a number of Unix seconds")
    if not now < seconds <= now + AHEAD_MAX_SECONDS:
        raise BadRequest(f"until has to lie in the future, and at most {AHEAD_MAX_SECONDS} s (ten years) ahead")
    return math.ceil(seconds)


def _parse_rfc3339(text: str) -> float | None:
    if not _is_rfc3339(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        return None
