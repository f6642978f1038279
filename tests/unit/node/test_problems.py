"""Problem documents: RFC 9457 fields, the code and status of a refusal."""

import json

import pytest
from tannoy.node.problems import build_problem, encode_http_problem, encode_problem, encode_refusal
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadName, Refused, Unavailable


def test_a_problem_document_has_title_status_code_and_detail() -> None:
    assert build_problem(403, Refused("not here", code=ErrorCode.FORBIDDEN)) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "code": "forbidden",
        "detail": "not here",
    }


def test_retry_after_is_in_the_document_only_if_the_refusal_has_one() -> None:
    assert build_problem(503, Unavailable("x", retry_after=2.5))["retry_after"] == 2.5
    assert "retry_after" not in build_problem(400, BadName("x"))


@pytest.mark.parametrize("code", ErrorCode)
def test_encode_refusal_uses_the_same_status_in_the_response_and_in_the_document(code: ErrorCode) -> None:
    status, body = encode_refusal(Refused("x", code=code))

    assert json.loads(body)["status"] == status


def test_encode_problem_uses_the_given_status() -> None:
    assert json.loads(encode_problem(404, BadName("x")))["title"] == "Not Found"


def test_an_http_problem_has_no_code() -> None:
    assert json.loads(encode_http_problem(405, "use POST")) == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "use POST",
    }
