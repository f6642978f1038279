"""How every request of the HTTP API is authorized, read and answered."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ...shared.codes import ErrorCode
from ...shared.errors import BadRequest, Refused
from ...shared.protocol.decoding import decode_json
from ...shared.protocol.frames import Object
from ..admission.handshake import join_headers
from ..auth.api_key import authorize_request
from ..node import Node
from ..problems import CONTENT_TYPE, encode_refusal

Endpoint = Callable[[Request], Awaitable[Response]]


def authorized(endpoint: Endpoint) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The endpoint for those who may use the API. What is refused, also by itself, gets a problem document."""

    async def checked(request: Request) -> Response:
        try:
            authorize(node_of(request), request)
            return await endpoint(request)
        except Refused as refusal:
            return problem_response(refusal)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody receives it

    return checked


def not_found(detail: str) -> HTTPException:
    """`docs/protocol.md §4` has no error code for what is not there."""
    return HTTPException(404, detail)


def problem_response(refusal: Refused) -> Response:
    """The response to a refused request."""
    status, body = encode_refusal(refusal)
    headers = {} if refusal.retry_after is None else {"Retry-After": str(max(1, round(refusal.retry_after)))}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(body, status, headers, CONTENT_TYPE)


def node_of(request: Request) -> Node:
    node: Node = request.state.node
    return node


def authorize(node: Node, request: Request) -> None:
    """Raises Refused."""
    authorize_request(
        node.settings.api_key.get_secret_value(),
        headers=join_headers(request.headers.items()),
        client_host=request.client.host if request.client else None,
        server_host=server[0] if (server := request.scope.get("server")) else None,
        proxies=node.clients.proxies,
    )


async def read_object(
    node: Node, request: Request, *allowed: str, times: int = 1, decode: Callable[[bytes], object] = decode_json
) -> Object:
    """Read the body as `read_value` does: a JSON object that has no fields but `allowed`. Raises Refused."""
    value = await read_value(node, request, times=times, decode=decode)
    if not isinstance(value, dict):
        raise BadRequest("the body has to be one JSON object")
    fields = cast("Object", value)
    check_fields(fields, *allowed)
    return fields


async def read_value(
    node: Node, request: Request, *, times: int = 1, decode: Callable[[bytes], object] = decode_json
) -> object:
    """Read the body, which `decode` decodes. Raises Refused.

    It may have `times` times the size of a message; a larger one is refused as soon as the surplus arrives.
    """
    limit, body = node.settings.message_max_bytes * times, bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refused(f"the body may have at most {limit} bytes", code=ErrorCode.TOO_LARGE)
    return decode(bytes(body))


def decode_optional(data: bytes) -> object:
    """Decode a body that may be missing, where no field is required. Raises BadRequest."""
    return decode_json(data) if data else {}


def check_fields(fields: Object, *allowed: str) -> None:
    """Raises BadRequest, with the names of the unknown fields, if there are any."""
    if extra := fields.keys() - set(allowed):
        named = ", ".join(sorted(f"{name!r:.40}" for name in extra)[:5])
        raise BadRequest(f"no field {named} here: allowed are {' '.join(allowed)}")
