"""`on_connect` and `on_disconnect`: the application is told of its sessions, in order, each once."""

import asyncio
from typing import Any

import pytest
from tannoy import ClientMessage, Forbidden, LiveSession, SessionEnd

from tests.support.hosted import Serve, fail, hang, time_for, told_before_bye
from tests.support.waiting import eventually


async def test_on_connect_is_called_behind_the_welcome_and_before_the_first_command(serve: Serve) -> None:
    called: list[str] = []

    async def on_connect(session: LiveSession) -> None:
        await asyncio.sleep(0)
        called.append(f"connect {session.user_id} {session.room}")
        session.state["greeting"] = "hello"

    async def on_message(session: LiveSession, message: ClientMessage) -> None:
        called.append(f"message {session.state['greeting']}")

    async with serve(on_connect=on_connect, on_message=on_message) as server:
        client = await server.open("/ws/chat/lobby?user_id=ada")
        await client.ok("message", content=1)

        assert called == ["connect ada lobby", "message hello"]


@pytest.mark.parametrize(("hook", "code"), [(fail, "internal"), (hang, "unavailable")], ids=["raises", "hangs"])
async def test_an_on_connect_that_fails_is_told_and_the_session_goes_on(serve: Serve, hook: Any, code: str) -> None:
    async with serve(on_connect=hook, hook_timeout=time_for(hook)) as server:
        client = await server.connect("/ws/chat/lobby")
        assert (await client.expect("error"))["code"] == code
        await client.ok("message", content=1)


async def test_an_on_connect_that_raises_forbidden_closes_the_session(serve: Serve) -> None:
    async def on_connect(session: LiveSession) -> None:
        raise Forbidden("not today")

    async with serve(on_connect=on_connect) as server:
        assert await told_before_bye(await server.connect("/ws")) == ("forbidden", 4503, False)


async def test_on_disconnect_is_called_once_for_each_session_with_how_it_ended(serve: Serve) -> None:
    ends: list[tuple[str, int | None, str]] = []

    async def on_disconnect(session: LiveSession, end: SessionEnd) -> None:
        await asyncio.sleep(0.1)  # as a database takes: the end of the application waits for it
        ends.append((session.user_id, end.code, end.reason))

    async def are(count: int) -> None:
        async def has() -> bool:
            return len(ends) == count

        await eventually(has, what=f"{count} ends")

    async with serve(on_disconnect=on_disconnect) as server:
        (await server.connect("/ws?user_id=lost")).vanish()
        await are(1)
        await (await server.connect("/ws?user_id=left")).close()
        await are(2)
        kicked = await server.connect("/ws?user_id=kicked")
        await server.http.delete("/api/v1/users/kicked/sessions")
        await kicked.bye()
        await are(3)
        await server.connect("/ws?user_id=last")

    assert ends[:3] == [
        ("lost", None, "the connection was lost"),
        ("left", 1000, "closed by the client"),
        ("kicked", 4504, "disconnected by an operator"),
    ]
    assert [user for user, _, _ in ends[3:]] == ["last"]


async def test_an_on_disconnect_that_raises_is_logged_and_the_others_are_called(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def on_disconnect(session: LiveSession, end: SessionEnd) -> None:
        if session.user_id == "ada":
            await fail()
        ended.append(session.user_id)

    async with serve(on_disconnect=on_disconnect) as server:
        for user in ("ada", "bob"):
            await (await server.connect(f"/ws?user_id={user}")).close()

    assert ended == ["bob"]
    assert "a fault of the application" in caplog.text
