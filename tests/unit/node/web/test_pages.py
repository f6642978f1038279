"""docs/protocol.md §8, `CHAT_PAGE`: where the chat page is served, and what it is told."""

from typing import Any, Literal

import httpx
import pytest
from starlette.applications import Starlette
from tannoy.node.web.pages import STATIC, is_page_on, page_routes
from tannoy.shared.settings import Settings

PATHS = ["/", *(f"/static/{path.name}" for path in sorted(STATIC.iterdir()) if path.name != "index.html")]


@pytest.mark.parametrize(
    ("host", "server_host", "auth", "is_on"),
    [
        ("127.0.0.1", "127.0.0.1", "none", True),
        ("localhost", "::1", "none", True),
        ("127.0.0.1", "127.0.0.1", "jwt", False),
        ("0.0.0.0", "127.0.0.1", "none", False),
        ("127.0.0.1", "10.0.0.7", "none", False),
        ("127.0.0.1", None, "none", False),
    ],
    ids=[
        "loopback",
        "localhost",
        "with tokens",
        "listening everywhere",
        "under a server that listens elsewhere",
        "on a Unix socket",
    ],
)
def test_auto_is_on_for_loopback_without_tokens(
    host: str, server_host: str | None, auth: Literal["none", "jwt"], is_on: bool
) -> None:
    assert is_page_on(Settings(host=host, auth=auth), server_host) is is_on


@pytest.mark.parametrize("auth", ["none", "jwt"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_on_and_off_hold_everywhere(host: str, auth: Literal["none", "jwt"]) -> None:
    assert is_page_on(Settings(chat_page="on", host=host, auth=auth), "10.0.0.7")
    assert not is_page_on(Settings(chat_page="off", host=host, auth=auth), "127.0.0.1")


async def _get(app: Starlette, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        return await client.get(path, **options)


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_of_a_page_that_is_off_is_served(path: str) -> None:
    answer = await _get(Starlette(routes=page_routes(Settings(chat_page="off"))), path)

    assert (answer.status_code, answer.text) == (404, "this node serves no chat page: TANNOY_CHAT_PAGE=on would")


@pytest.mark.parametrize("auth", ["none", "jwt"])
async def test_the_page_is_told_how_the_node_identifies_clients(auth: Literal["none", "jwt"]) -> None:
    page = await _get(Starlette(routes=page_routes(Settings(chat_page="on", auth=auth))), "/")

    assert f'<meta name="tannoy-auth" content="{auth}">' in page.text


@pytest.mark.parametrize("path", PATHS)
async def test_a_browser_that_has_a_file_is_answered_with_304(path: str) -> None:
    app = Starlette(routes=page_routes(Settings(chat_page="on")))

    first = await _get(app, path)
    again = await _get(app, path, headers={"If-None-Match": first.headers["etag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


@pytest.mark.parametrize(
    ("path", "allowed"), [("/static/tannoy-client.js", "*"), ("/static/main.js", None), ("/", None)]
)
async def test_pages_of_other_origins_may_import_the_client_and_nothing_else(path: str, allowed: str | None) -> None:
    answer = await _get(Starlette(routes=page_routes(Settings(chat_page="on"))), path)

    assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (200, allowed)


def test_the_page_connects_with_the_client_alone() -> None:
    importing = {path.name for path in STATIC.rglob("*.js") if 'from "./tannoy-client.js"' in path.read_text()}

    assert importing == {"session.js", "failures.js"}
    assert not (STATIC / "connection.js").exists()
