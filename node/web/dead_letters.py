"""Handlers of the HTTP API for events that the target of the HTTP hooks did not take."""

import re
from typing import Annotated, Any, cast

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema
from starlette.requests import Request

from ...fanout.webhooks.calls import HookCalls
from ...shared.errors import BadRequest
from ...shared.protocol.frames import Object
from .contract import ContractBody
from .queries import ContractQuery, Limit
from .requests import node_of, not_found

RESENT_MAX = 1000
"""Dead letters of one request."""
LISTED_DEFAULT = 100
"""Dead letters of a page."""
_LETTER = {"type": "string", "pattern": r"^[0-9]{1,20}-[0-9]{1,20}$"}
_is_letter = re.compile(r"[0-9]{1,20}-[0-9]{1,20}").fullmatch


def parse_letter(value: object) -> str:
    """Raises BadRequest."""
    if isinstance(value, str) and _is_letter(value) and all(int(part) < 2**64 for part in value.split("-")):
        return value
    raise BadRequest("the id of a dead letter is two numbers, as in 1764547200000-0")


def parse_letters(value: object) -> list[str]:
    """Raises BadRequest."""
    if not isinstance(value, list) or not 1 <= len(letters := cast("list[object]", value)) <= RESENT_MAX:
        raise BadRequest(f"ids has to be a list of 1 to {RESENT_MAX} ids")
    return [parse_letter(letter) for letter in letters]


class DeadLettersQuery(ContractQuery):
    limit: Limit = LISTED_DEFAULT
    cursor: Annotated[str | None, BeforeValidator(parse_letter), WithJsonSchema(_LETTER)] = None


class ResendBody(ContractBody):
    """Which dead letters are to be sent again."""

    ids: Annotated[
        Any,
        BeforeValidator(parse_letters),
        WithJsonSchema({"type": "array", "items": _LETTER, "minItems": 1, "maxItems": RESENT_MAX}),
    ]


async def list_dead_letters(request: Request, query: Annotated[DeadLettersQuery, Query()]) -> Object:
    """Events that the target of the hooks did not take, the oldest first, in pages, until one is empty."""
    calls = _calls_of(request)
    letters = await calls.list_dead(query.limit, query.cursor)
    total, lost = await calls.count_dead()
    answer: Object = {
        "dead_letters": [{"id": letter.id, "event": letter.event, "reason": letter.reason} for letter in letters],
        "total": total,
        "lost": lost,
    }
    return answer | {"cursor": letters[-1].id} if letters else answer


async def resend_dead_letters(request: Request, body: ResendBody) -> Object:
    """Send dead letters to the target again; they are dead letters no more."""
    return {"resent": await _calls_of(request).resend(body.ids)}


async def delete_dead_letter(request: Request, id: str) -> None:
    """Forget a dead letter."""
    if not await _calls_of(request).delete_dead([parse_letter(id)]):
        raise not_found(f"there is no dead letter {id}")


def _calls_of(request: Request) -> HookCalls:
    webhooks = node_of(request).external.webhooks
    if webhooks is None:
        raise not_found("this node has no hooks: TANNOY_HOOK_URL is not set")
    return webhooks.calls
