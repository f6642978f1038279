"""`authenticate`: who a client is, and what follows where the hook fails."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from tannoy import Forbidden, Identity
from websockets.exceptions import InvalidStatus

from tests.support.hosted import SOON, Serve, fail, hang, told_before_bye
from tests.support.waiting import PATIENCE


async def test_a_session_is_of_the_user_who_has_logged_in_at_the_application(serve: Serve) -> None:
    async def authenticate(request: HTTPConnection) -> Identity | None:
        user = request.session.get("user")
        return Identity(user, username=f"{user} of the host") if user else None

    async with serve(authenticate=authenticate) as server:
        cookie = (await server.http.post(f"http://127.0.0.1:{server.port}/log-in/ada")).headers["set-cookie"]
        ada = await server.connect("/ws/chat/lobby", additional_headers={"Cookie": cookie.partition(";")[0]})
        assert (ada.welcome["user_id"], ada.welcome["username"]) == ("ada", "ada of the host")

        stranger = await server.open("/ws/chat/lobby")
        assert await told_before_bye(stranger) == ("bad_token", 4501, False)


async def test_a_page_of_another_origin_is_refused_before_its_cookie_is_looked_at(serve: Serve) -> None:
    async with serve(authenticate=fail) as server:
        with pytest.raises(InvalidStatus) as refused:
            await server.open("/ws", origin="https://evil.example")

        assert refused.value.response.status_code == 403
        assert (await server.http.get("/diagnostics")).json()["hooks"]["authenticate"]["calls"] == 0


async def test_an_authenticate_that_raises_admits_nobody_and_says_so(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(authenticate=fail) as server:
        assert await told_before_bye(await server.open("/ws")) == ("internal", 1011, True)
        assert "a fault of the application" in caplog.text
        assert (await server.http.get("/diagnostics")).json()["refused"]["hook"] == 1


async def test_an_authenticate_that_hangs_admits_nobody_in_time(serve: Serve) -> None:
    async with serve(authenticate=hang, hook_timeout=SOON) as server:
        assert await told_before_bye(await server.open("/ws")) == ("unavailable", 1013, True)


async def test_an_authenticate_that_returns_something_else_admits_nobody(serve: Serve) -> None:
    async def authenticate(request: HTTPConnection) -> Any:
        return {"user_id": "ada"}

    async with serve(authenticate=authenticate) as server:
        assert await told_before_bye(await server.open("/ws")) == ("internal", 1011, True)


async def test_an_authenticate_that_raises_forbidden_is_quoted_to_the_client(serve: Serve) -> None:
    async def authenticate(request: HTTPConnection) -> Identity:
        raise Forbidden("come back when you are of age")

    async with serve(authenticate=authenticate) as server:
        client = await server.open("/ws")
        assert (await client.expect("error"))["message"] == "come back when you are of age"
        assert (await client.bye())[1] == 4503


async def test_what_a_client_sends_while_it_is_authenticated_is_handled_in_order_afterwards(serve: Serve) -> None:
    may_go_on = asyncio.Event()

    async def authenticate(request: HTTPConnection) -> Identity:
        await may_go_on.wait()
        return Identity("ada")

    async with serve(authenticate=authenticate) as server:
        client = await server.open("/ws")
        await client.send("join", id=1, room="lobby")
        for number in range(100):
            await client.send("message", room="lobby", content=number)
        may_go_on.set()

        assert (await client.welcomed())["user_id"] == "ada"
        assert (await client.answer_to(1))["type"] == "ok"
        assert await client.contents(100) == list(range(100))


async def test_a_client_that_leaves_while_it_is_authenticated_ends_the_call(serve: Serve) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def authenticate(request: HTTPConnection) -> Identity:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serve(authenticate=authenticate) as server:
        client = await server.open("/ws")
        await begun.wait()
        client.vanish()

        async with asyncio.timeout(PATIENCE):
            await ended.wait()


async def test_what_middleware_has_opened_for_a_handshake_is_open_while_it_is_authenticated(serve: Serve) -> None:
    class Opener:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "websocket":
                return await self._app(scope, receive, send)
            database = {"is_open": True}
            await self._app({**scope, "database": database}, receive, send)
            database["is_open"] = False

    async def authenticate(request: HTTPConnection) -> Identity | None:
        await asyncio.sleep(0)
        return Identity("ada") if request["database"]["is_open"] else None

    async with serve(authenticate=authenticate, middleware=[Middleware(Opener)]) as server:
        assert (await server.connect("/ws")).welcome["user_id"] == "ada"


async def test_an_identity_says_which_rooms_and_commands_are_allowed_and_until_when(serve: Serve) -> None:
    async def authenticate(request: HTTPConnection) -> Identity:
        return Identity(7, rooms=["team.*"], can=["history"], expires_at=datetime(2099, 1, 1, tzinfo=UTC))

    async with serve(authenticate=authenticate) as server:
        client = await server.connect("/ws")
        assert (client.welcome["user_id"], client.welcome["expires_at"]) == ("7", "2099-01-01T00:00:00.000Z")
        await client.ok("join", room="team.a")
        assert (await client.call("join", room="lobby"))["code"] == "forbidden"
        assert (await client.call("message", room="team.a", content=1))["code"] == "forbidden"


async def test_a_session_ends_with_its_identity(serve: Serve) -> None:
    async def authenticate(request: HTTPConnection) -> Identity:
        return Identity("ada", expires_at=time.time())

    async with serve(authenticate=authenticate) as server:
        assert (await (await server.connect("/ws")).bye())[1] == 4401
