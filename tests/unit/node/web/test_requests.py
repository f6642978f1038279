"""How a request of the HTTP API is read, and which headers a problem document is sent with."""

from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request
from tannoy.node.node import Node
from tannoy.node.web.requests import check_fields, problem_response, read_object
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadRequest, Refused, Unavailable
from tannoy.shared.settings import load_settings

NODE = cast("Node", SimpleNamespace(settings=load_settings(message_max_bytes=128)))


def request_of(*chunks: bytes) -> tuple[Request, AsyncIterator[bytes]]:
    """A request whose body arrives in these chunks, and those that have not been read."""
    rest = iter(chunks)

    async def receive() -> dict[str, Any]:
        chunk = next(rest, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    return Request({"type": "http", "method": "POST", "headers": []}, receive), cast("AsyncIterator[bytes]", rest)


async def read(*chunks: bytes, allowed: Sequence[str] = ("a",), times: int = 1) -> dict[str, object]:
    request, _ = request_of(*chunks)
    return await read_object(NODE, request, *allowed, times=times)


async def test_a_body_in_chunks_is_read_whole() -> None:
    assert await read(b'{"a"', b":1", b"}") == {"a": 1}


@pytest.mark.parametrize("body", [b"", b"[1]", b'"text"', b"null", b"{", b"\xff"])
async def test_a_body_that_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        await read(body)


async def test_a_field_that_is_not_allowed_is_refused_by_name() -> None:
    with pytest.raises(BadRequest, match="no field 'b' here: allowed are a c"):
        await read(b'{"a":1,"b":2}', allowed=("a", "c"))


async def test_a_body_larger_than_a_message_may_be_is_refused() -> None:
    with pytest.raises(Refused, match="at most 128 bytes") as caught:
        await read(b'"' + b"x" * 127 + b'"')
    assert caught.value.code is ErrorCode.TOO_LARGE


async def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    request, rest = request_of(*[b"x" * 100] * 10)
    with pytest.raises(Refused):
        await read_object(NODE, request, "a")
    assert len(list(cast("Any", rest))) == 8


async def test_a_body_of_several_messages_may_be_that_many_times_as_large() -> None:
    assert len(cast("str", (await read(b'{"a":"' + b"x" * 120 + b'"}', times=2))["a"])) == 120


def test_check_fields_names_at_most_five_unknown_fields() -> None:
    with pytest.raises(BadRequest) as caught:
        check_fields({f"field{number}": 1 for number in range(9)}, "a")
    assert caught.value.message.count("field") == 6  # the sentence begins with the word


@pytest.mark.parametrize(("retry_after", "header"), [(0.2, "1"), (2.6, "3")])
def test_retry_after_is_sent_in_whole_seconds_and_at_least_one(retry_after: float, header: str) -> None:
    assert problem_response(Unavailable("x", retry_after=retry_after)).headers["retry-after"] == header


def test_only_an_unauthorized_request_is_asked_for_a_bearer_token() -> None:
    unauthorized, bad = (
        problem_response(Refused("x", code=code)) for code in (ErrorCode.BAD_TOKEN, ErrorCode.BAD_REQUEST)
    )

    assert unauthorized.headers["www-authenticate"] == "Bearer"
    assert "www-authenticate" not in bad.headers
