"""The application of a node that was not started."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tannoy.node.app import create_app
from tannoy.shared.errors import StartError
from tannoy.shared.settings import Settings


def _mounted() -> Starlette:
    """A host application, which does not start what is mounted in it."""
    return Starlette(routes=[Mount("/rt", create_app(Settings()))])


@pytest.mark.parametrize("path", ["/rt/health/live", "/rt/api/v1/nodes", "/rt/", "/rt/nothing"])
async def test_a_mounted_application_says_that_it_was_not_started(path: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(_mounted()), base_url="http://host") as client:
        with pytest.raises(
            StartError, match=r"was not started: its lifespan has not run.*mounted.*Serve it by itself.*tannoy\.Tannoy"
        ):
            await client.get(path)


async def test_a_request_to_a_mounted_application_is_answered_with_500() -> None:
    transport = httpx.ASGITransport(_mounted(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        answer = await client.get("/rt/health/live")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")


async def test_a_websocket_to_a_mounted_application_says_that_it_was_not_started() -> None:
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/rt/ws",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        raise AssertionError(f"sent {message!r}")

    with pytest.raises(StartError, match="was not started"):
        await _mounted()(scope, receive, send)
