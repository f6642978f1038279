"""Problem documents (RFC 9457) with the error codes of `docs/protocol.md §4`."""

from http import HTTPStatus

import orjson

from ..shared.codes import HTTP_STATUS
from ..shared.errors import Refused

CONTENT_TYPE = "application/problem+json"


def build_problem(status: int, refusal: Refused) -> dict[str, object]:
    """The problem document of a refusal as an object."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": refusal.code.value,
        "detail": refusal.message,
    }
    if refusal.retry_after is not None:
        problem["retry_after"] = refusal.retry_after
    return {**problem, **refusal.fields}


def encode_problem(status: int, refusal: Refused) -> bytes:
    """The problem document of a refusal with a given HTTP status."""
    return orjson.dumps(build_problem(status, refusal))


def encode_refusal(refusal: Refused) -> tuple[int, bytes]:
    """The HTTP status of a refusal's code, and the problem document."""
    status = refusal.http_status or HTTP_STATUS[refusal.code]
    return status, encode_problem(status, refusal)


def encode_http_problem(status: int, detail: str) -> bytes:
    """A problem that HTTP itself names; `docs/protocol.md §4` has no code for it."""
    return orjson.dumps({"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail})
