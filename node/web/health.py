"""Health checks for a load balancer: is the process alive, and should it get connections?"""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..node import Node


async def _get_live(request: Request) -> Response:
    """Answer 200 as long as the event loop runs."""
    node: Node = request.state.node
    return _json_response(200, {"status": "live", "node": node.node_id})


async def _get_ready(request: Request) -> Response:
    """Answer 200, or 503 with the reason."""
    node: Node = request.state.node
    reason = node.not_ready_reason
    if reason is None:
        return _json_response(200, {"status": "ready", "node": node.node_id})
    return _json_response(503, {"status": "not ready", "node": node.node_id, "reason": reason})


def _json_response(status: int, body: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status, {"Cache-Control": "no-store"}, "application/json")


def health_routes() -> list[BaseRoute]:
    return [Route("/health/live", _get_live), Route("/health/ready", _get_ready)]
