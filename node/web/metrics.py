"""`GET /metrics`, for Prometheus. It names neither users, agents nor rooms, and needs no API key."""

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...shared.extras import METRICS_PACKAGES, MissingExtra, require_extra
from ..node import Node

if TYPE_CHECKING:
    from ..metrics.exposition import Exposition


class _Metrics:
    """The endpoint. Without the packages of the extra `metrics` it answers 501, and all else of the node works."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._exposition: Exposition | None = None

    async def get(self, request: Request) -> Response:
        body, content_type = self._of(request.state.node).encode(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    def _of(self, node: Node) -> "Exposition":
        if self._exposition is None or self._node is not node:
            self._exposition, self._node = _create_exposition(node), node
        return self._exposition


def _create_exposition(node: Node) -> "Exposition":
    try:
        require_extra("metrics", METRICS_PACKAGES, importer="GET /metrics")
    except MissingExtra as error:
        raise HTTPException(501, str(error)) from None
    from ..metrics.exposition import Exposition

    return Exposition(node.statistics)


def metrics_routes() -> list[BaseRoute]:
    return [Route("/metrics", _Metrics().get)]
