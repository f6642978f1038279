"""The HTTP API under `/api/v1`, served by FastAPI: how each of its requests is authorized, read and answered."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from ...shared.errors import BadRequest, internal_error
from ...shared.protocol.decoding import decode_json, parse_json
from ...shared.turns import Turns
from ..problems import CONTENT_TYPE, encode_http_problem
from .large_answers import answered_in_turn
from .requests import authorized, decode_optional, node_of, problem_response, read_value

BATCH_MAX_SIZE = 16
"""The size of one `POST /messages`, in multiples of the size of a message."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _DecodedRequest(Request):
    """A request whose body was read, whatever content type it says: FastAPI decodes what says JSON, once more."""

    def __init__(self, scope: Scope, value: object) -> None:
        super().__init__(scope)
        self._value = value
        self._headers = Headers(
            raw=[*(each for each in scope["headers"] if each[0] != b"content-type"), _CONTENT_TYPE_JSON]
        )

    async def body(self) -> bytes:
        return b"{}"  # not empty: FastAPI asks for `json` then

    async def json(self) -> object:
        return self._value


_CONTENT_TYPE_JSON = (b"content-type", b"application/json")


class ContractRoute(APIRoute):
    """Authorizes before anything is read, reads a body within its bound, and answers a refusal with its problem."""

    times = 1
    """How many messages a body may be as large as."""
    decode = staticmethod(decode_json)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.methods and "GET" in self.methods:
            self.methods.add("HEAD")

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        has_body = self.body_field is not None

        async def handle_request(request: Request) -> Response:
            if has_body:
                value = await read_value(node_of(request), request, times=self.times, decode=self.decode)
                request = _DecodedRequest(request.scope, value)
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise BadRequest(_sentence_of(error)) from error

        return authorized(handle_request)


class OptionalBodyRoute(ContractRoute):
    """The route of a body without required fields, which may be missing."""

    decode = staticmethod(decode_optional)


class BatchRoute(ContractRoute):
    """The route of a body with many messages, each of which is bounded by itself."""

    times = BATCH_MAX_SIZE
    decode = staticmethod(parse_json)


class LargeRoute(ContractRoute):
    """The route of an answer that may be larger than a message: few are read and written at once."""

    def get_route_handler(self) -> Handler:
        in_turn = answered_in_turn(super().get_route_handler(), _find_turns, problem_response)

        async def handle_request(request: Request) -> Response:
            return await in_turn(request)

        return handle_request


def _find_turns(request: Request) -> Turns:
    return node_of(request).operations.http_answers


def _sentence_of(error: RequestValidationError) -> str:
    """What pydantic has found, where no parser of the contract has refused it before."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"


def create_api() -> FastAPI:
    """An API without routes. Its schema and its page are not those of FastAPI: `api_documents.py` makes them."""
    api = FastAPI(
        title="Tannoy",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: handle_http_error, Exception: handle_internal_error},
    )
    api.router.route_class = ContractRoute
    return api


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Answer errors such as "not found" and "method not allowed" with a problem document too."""
    assert isinstance(error, HTTPException)
    headers = {"Allow": ", ".join(sorted(_find_methods(request)))} if error.status_code == 405 else error.headers
    return Response(encode_http_problem(error.status_code, error.detail), error.status_code, headers, CONTENT_TYPE)


def _find_methods(request: Request) -> set[str]:
    """The methods that the path of a request has; Starlette names those of the first route with this path alone."""
    routes: list[BaseRoute] = request.app.routes
    of_path = (
        route for route in routes if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    )
    return {method for route in of_path for method in route.methods or ()}


async def handle_internal_error(request: Request, error: Exception) -> Response:
    """Answer an exception of a handler. Starlette raises it again after the answer, so that it is logged."""
    return problem_response(internal_error())
