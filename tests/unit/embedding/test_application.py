"""`tannoy.Tannoy` without its lifespan, and what it makes of its settings."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tannoy import Settings, Tannoy
from tannoy.shared.errors import StartError

NOT_STARTED = r"Tannoy was not started: .* FastAPI\(lifespan=rt\.lifespan\)"
NO_REDIS = Settings(redis_url="redis://127.0.0.1:1")


def _forgetful_host(rt: Tannoy) -> FastAPI:
    app = FastAPI()
    app.mount("/rt", rt)
    return app


async def test_without_the_lifespan_a_request_is_one_error_that_says_so() -> None:
    host = _forgetful_host(Tannoy(NO_REDIS))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host") as client:
        with pytest.raises(StartError, match=NOT_STARTED):
            await client.get("/rt/health/ready")


async def test_without_the_lifespan_a_websocket_is_one_error_that_says_so() -> None:
    scope: dict[str, Any] = {"type": "websocket", "path": "/rt/ws", "headers": [], "query_string": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        raise AssertionError(f"sent {message!r}")

    with pytest.raises(StartError, match=NOT_STARTED):
        await _forgetful_host(Tannoy(NO_REDIS))(scope, receive, send)


def test_without_the_lifespan_publishing_is_one_error_that_says_so() -> None:
    with pytest.raises(StartError, match=NOT_STARTED):
        _ = Tannoy(NO_REDIS).publish


def test_without_the_lifespan_it_is_not_ready() -> None:
    assert "was not started" in (Tannoy(NO_REDIS).not_ready_reason or "")


async def test_a_start_without_redis_is_an_error_and_nothing_is_left_running() -> None:
    rt = Tannoy(NO_REDIS)
    tasks = asyncio.all_tasks()
    for _ in range(2):
        with pytest.raises(StartError, match=r"Redis at 127\.0\.0\.1:1"):
            async with rt.lifespan():
                raise AssertionError("started")

    assert asyncio.all_tasks() == tasks
    assert rt.not_ready_reason is not None


def test_without_settings_they_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANNOY_REDIS_URL", "nonsense://")

    with pytest.raises(StartError, match="TANNOY_REDIS_URL: has to begin with one of redis://"):
        Tannoy()
    Tannoy(NO_REDIS)
