"""The chat page: static files, read once, with the headers that a page needs.

They are served from memory: a node whose open files are used up serves its page too.
"""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

STATIC = Path(__file__).parent.parent / "static" / "chat"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Sent with the page and with each of its files."""


def _serve(file: Path) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that answers with the content that `file` has now, or with 304 to who has it."""
    content = file.read_bytes()
    headers = {**PAGE_HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    content_type, _ = mimetypes.guess_type(file.name)

    async def endpoint(request: Request) -> Response:
        known = request.headers.get("if-none-match", "").split(",")
        if headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=content_type)

    return endpoint


def page_routes() -> list[BaseRoute]:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    routes = [Route(f"/static/{path.relative_to(STATIC).as_posix()}", _serve(path)) for path in files]
    return [Route("/", _serve(STATIC / "index.html")), *routes]
