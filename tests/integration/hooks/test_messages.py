"""`on_message`: what sessions say is changed or refused, in order, and nothing goes out where the hook fails."""

import asyncio
from typing import Any

import pytest
from tannoy import ClientMessage, Forbidden, LiveSession

from tests.support.hosted import Serve, fail, hang, time_for
from tests.support.waiting import PATIENCE


@pytest.fixture
def carrier() -> str:
    return "fast"


async def test_on_message_changes_and_refuses_what_sessions_say(serve: Serve) -> None:
    heard: list[tuple[str | None, str | None, str | None]] = []

    async def on_message(session: LiveSession, message: ClientMessage) -> None:
        heard.append((message.room, message.agent_id, message.to_user))
        if message.content == "spam":
            raise Forbidden("no spam")
        message.content = {"by": session.user_id, "said": message.content}

    async with serve(on_message=on_message) as server:
        ada = await server.connect("/ws/chat/lobby?user_id=ada")
        agent = await server.connect("/ws/agents/42?user_id=bob")
        refused = await ada.call("message", content="spam")
        assert (refused["code"], refused["message"]) == ("forbidden", "no spam")
        await ada.ok("message", content="hi")
        assert (await ada.expect("message"))["content"] == {"by": "ada", "said": "hi"}
        await agent.ok("message", content="hi")
        assert (await agent.expect("message"))["content"] == {"by": "bob", "said": "hi"}
        await ada.ok("private", to="ada", content="psst")
        assert (await ada.expect("private"))["content"] == {"by": "ada", "said": "psst"}
        assert heard == [("lobby", None, None)] * 2 + [(None, "42", None), (None, None, "ada")]


async def test_messages_keep_their_order_however_long_the_hook_takes_for_each(serve: Serve) -> None:
    async def on_message(session: LiveSession, message: ClientMessage) -> None:
        for _ in range(10 - message.content % 10):
            await asyncio.sleep(0)

    async with serve(on_message=on_message) as server:
        client = await server.connect("/ws/chat/lobby")
        for number in range(100):
            await client.send("message", content=number)

        assert await client.contents(100) == list(range(100))


@pytest.mark.parametrize(("hook", "code"), [(fail, "internal"), (hang, "unavailable")], ids=["raises", "hangs"])
async def test_a_message_whose_hook_fails_is_not_published(serve: Serve, name: str, hook: Any, code: str) -> None:
    async with serve(on_message=hook, hook_timeout=time_for(hook)) as server:
        client = await server.connect(f"/ws/chat/{name}")
        assert (await client.call("message", content=1))["code"] == code
        assert (await client.ok("history"))["messages"] == []


@pytest.mark.parametrize(
    "content", [float("nan"), {1: 2}, object(), "x" * 100_000], ids=["NaN", "number as a key", "object", "too large"]
)
async def test_a_content_that_a_hook_may_not_make_is_not_published(
    serve: Serve, name: str, content: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_message(session: LiveSession, message: ClientMessage) -> None:
        message.content = content

    async with serve(on_message=on_message) as server:
        client = await server.connect(f"/ws/chat/{name}")
        assert (await client.call("message", content=1))["code"] == "internal"
        assert (await client.ok("history"))["messages"] == []
        assert "a hook has failed" in caplog.text


async def test_a_hook_that_hangs_for_one_session_holds_up_no_other(serve: Serve) -> None:
    async def on_message(session: LiveSession, message: ClientMessage) -> None:
        if session.user_id == "ada":
            await asyncio.Event().wait()

    async with serve(on_message=on_message) as server:
        ada = await server.connect("/ws/chat/lobby?user_id=ada")
        bob = await server.connect("/ws/chat/lobby?user_id=bob")
        await ada.send("message", id=1, content="never")
        await bob.ok("message", content="now")

        assert await ada.contents(1) == await bob.contents(1) == ["now"]
        hooks = (await server.http.get("/diagnostics")).json()["hooks"]
        assert (hooks["on_message"]["under_way"], hooks["on_message"]["calls"]) == (1, 2)


async def test_a_session_that_ends_ends_the_hook_that_it_waits_for(serve: Serve) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def on_message(session: LiveSession, message: ClientMessage) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serve(on_message=on_message) as server:
        client = await server.connect("/ws/chat/lobby")
        await client.send("message", content=1)
        await begun.wait()
        client.vanish()

        async with asyncio.timeout(PATIENCE):
            await ended.wait()
