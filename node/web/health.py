"""Health checks for a load balancer: is the process alive, and should it get connections?"""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...shared.protocol.frames import Object
from ..node import Node


async def _get_live(request: Request) -> Response:
    """Answer 200 as long as the event loop runs."""
    node: Node = request.state.node
    return _json_response(200, {"status": "live", "node": node.node_id})


async def _get_ready(request: Request) -> Response:
    """Answer 200, or 503 with the reason; both with what was found amiss with Redis at the start of the node."""
    node: Node = request.state.node
    reason = node.not_ready_reason
    warnings = {"warnings": node.bus.warnings} if node.bus.warnings else {}
    if reason is None:
        return _json_response(200, {"status": "ready", "node": node.node_id, **warnings})
    return _json_response(503, {"status": "not ready", "node": node.node_id, "reason": reason, **warnings})


def _json_response(status: int, body: Object) -> Response:
    return Response(orjson.dumps(body), status, {"Cache-Control": "no-store"}, "application/json")


def health_routes() -> list[BaseRoute]:
    return [Route("/health/live", _get_live), Route("/health/ready", _get_ready)]
