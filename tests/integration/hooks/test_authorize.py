"""`authorize`: which rooms and agents a session may use, and what follows where the hook fails."""

import time
from typing import Any

import pytest
from tannoy import ChannelRequest, LiveSession
from tannoy.node.auth.signing import sign_token

from tests.support.hosted import Serve, fail, hang, time_for, told_before_bye

SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"


@pytest.fixture
def carrier() -> str:
    return "fast"


async def only_open_channels(session: LiveSession, channel: ChannelRequest) -> bool:
    return (channel.room or channel.agent_id or "").startswith("open")


async def test_authorize_decides_on_each_room_and_agent(serve: Serve) -> None:
    async with serve(authorize=only_open_channels) as server:
        assert await told_before_bye(await server.open("/ws/chat/closed")) == ("forbidden", 4503, False)
        assert await told_before_bye(await server.open("/ws/agents/closed")) == ("forbidden", 4503, False)
        await server.connect("/ws/chat/open")
        await server.connect("/ws/agents/open")
        client = await server.connect("/ws")
        assert (await client.call("join", room="closed"))["code"] == "forbidden"
        await client.ok("join", room="open")


async def test_authorize_is_asked_about_clients_whose_token_comes_in_the_first_frame(serve: Serve) -> None:
    token = sign_token(SECRET, subject="ada", expires_at=time.time() + 600)
    async with serve({"auth": "jwt", "jwt_secret": SECRET}, authorize=only_open_channels) as server:
        refused = await server.open("/ws/chat/closed")
        await refused.send("auth", token=token)
        assert await told_before_bye(refused) == ("forbidden", 4503, False)
        admitted = await server.open("/ws/chat/open")
        await admitted.send("auth", token=token)
        assert (await admitted.welcomed())["user_id"] == "ada"


@pytest.mark.parametrize(("hook", "code"), [(fail, "internal"), (hang, "unavailable")], ids=["raises", "hangs"])
async def test_an_authorize_that_fails_lets_nobody_in_and_the_session_goes_on(
    serve: Serve, hook: Any, code: str
) -> None:
    async with serve(authorize=hook, hook_timeout=time_for(hook)) as server:
        client = await server.connect("/ws")
        assert (await client.call("join", room="lobby"))["code"] == code
        assert (await client.call("presence", room="lobby"))["code"] == "not_joined"


async def test_an_authorize_that_returns_what_is_merely_true_lets_nobody_in(serve: Serve) -> None:
    async def authorize(session: LiveSession, channel: ChannelRequest) -> Any:
        return "yes"

    async with serve(authorize=authorize) as server:
        client = await server.connect("/ws")
        assert (await client.call("join", room="lobby"))["code"] == "internal"
