"""RFC 9457 problem documents with the error codes of `docs/protocol.md §4`."""

from http import HTTPStatus

import orjson

from ..shared.codes import HTTP_STATUS
from ..shared.errors import Refused

CONTENT_TYPE = "application/problem+json"


def problem_object(status: int, refusal: Refused) -> dict[str, object]:
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": refusal.code.value,
        "detail": refusal.message,
    }
    if refusal.retry_after is not None:
        problem["retry_after"] = refusal.retry_after
    return problem


def problem_body(status: int, refusal: Refused) -> bytes:
    return orjson.dumps(problem_object(status, refusal))


def problem_of(refusal: Refused) -> tuple[int, bytes]:
    """Status and body of a refusal over HTTP."""
    status = HTTP_STATUS[refusal.code]
    return status, problem_body(status, refusal)


def http_problem(status: int, detail: str) -> bytes:
    """A problem that HTTP itself names; `docs/protocol.md §4` has no code for it."""
    return orjson.dumps({"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail})
