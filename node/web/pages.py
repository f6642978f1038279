"""The chat page: static files, read once, with the headers that a page needs, where the settings have it on.

They are served from memory: a node whose open files are used up serves its page too.
"""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...shared.settings import Settings
from ..auth.hosts import is_loopback

STATIC = Path(__file__).parent.parent / "static" / "chat"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Sent with the page and with each of its files."""
CLIENT = "tannoy-client.js"
"""The client for pages, which those of other origins import too."""

Endpoint = Callable[[Request], Awaitable[Response]]


def is_page_on(settings: Settings, server_host: str | None) -> bool:
    """Whether the chat page is served on a connection whose local address is `server_host`; None: it has no address.

    A server that is not ours may listen where no setting says, so with `auto` both have to be loopback.
    """
    if settings.chat_page != "auto":
        return settings.chat_page == "on"
    return settings.auth == "none" and is_loopback(settings.host) and is_loopback(server_host)


def page_routes(settings: Settings) -> list[BaseRoute]:
    """The page, which is told how the node identifies clients, so that it asks for a name or a token; and its files."""
    page = (STATIC / "index.html").read_bytes().replace(b"{{ auth }}", settings.auth.encode())
    files = [path for path in STATIC.rglob("*") if path.is_file() and path.name != "index.html"]
    return [
        Route("/", _serve(settings, page, "index.html")),
        *(
            Route(f"/static/{path.relative_to(STATIC).as_posix()}", _serve(settings, path.read_bytes(), path.name))
            for path in files
        ),
    ]


def _serve(settings: Settings, content: bytes, name: str) -> Endpoint:
    """An endpoint that answers with `content`, or with 304 to who has it. Raises HTTPException if the page is off."""
    headers = {**PAGE_HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    if name == CLIENT:
        headers["Access-Control-Allow-Origin"] = "*"
    content_type, _ = mimetypes.guess_type(name)

    async def endpoint(request: Request) -> Response:
        server = request.scope.get("server")
        if not is_page_on(settings, server[0] if server else None):
            raise HTTPException(404, "this node serves no chat page: TANNOY_CHAT_PAGE=on would")
        known = request.headers.get("if-none-match", "").split(",")
        if headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=content_type)

    return endpoint
