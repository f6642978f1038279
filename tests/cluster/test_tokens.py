"""Nodes that ask for tokens, over real sockets: who gets in, who may do what, and what ends with a token."""

import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.node.auth.signing import sign_token
from websockets.asyncio.client import connect as open_socket
from websockets.typing import Subprotocol

from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport

SECRET = "a-secret-that-only-the-back-end-and-the-nodes-know"
REFUSED_BY_A_TOKEN = ("forbidden", 4503)


HOST_LINE = "INFO:     "
"""So begins what uvicorn logs, with the query, where it serves an application that a node is mounted in."""


@pytest.fixture(scope="module", params=list(Transport), ids=str)
async def node(anyio_backend: str, request: pytest.FixtureRequest) -> AsyncGenerator[NodeProcess]:
    async with Cluster(nodes=1, transport=request.param, AUTH="jwt", JWT_SECRET=SECRET) as cluster:
        yield cluster.nodes[0]


def token_of(user: str = "ada", *, seconds: Any = 600, **claims: Any) -> str:
    return sign_token(SECRET, subject=user, expires_at=time.time() + seconds, **claims)


class Door:
    """Clients of the node, which are closed when the test ends."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.clients: list[Client] = []

    async def open(self, path: str, **options: Any) -> Client:
        client = await Client.open(self.node.ws_url + path, **options)
        self.clients.append(client)
        return client

    async def connect(self, path: str, token: str) -> Client:
        """With the token in the header."""
        return await self.open(path, additional_headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
async def door(node: NodeProcess) -> AsyncGenerator[Door]:
    door = Door(node)
    yield door
    for client in door.clients:
        await client.close()


async def refusal(client: Client) -> tuple[str, int]:
    """The code of the error, and that of the close frame."""
    error = await client.expect("error")
    return str(error["code"]), (await client.bye())[1]


async def test_the_header_names_the_user(door: Door) -> None:
    welcome = await (await door.connect("/ws/chat/lobby", token_of("ada", username="Ada L."))).welcomed()
    assert (welcome["user_id"], welcome["username"]) == ("ada", "Ada L.")
    assert welcome["expires_at"].endswith("Z")


async def test_a_page_sends_the_token_as_a_subprotocol_and_hears_the_wire_format_alone(door: Door) -> None:
    offered = [Subprotocol(name) for name in ("tannoy.v1.json", "bearer", token_of("bob"))]
    async with open_socket(door.node.ws_url + "/ws", subprotocols=offered) as socket:
        assert socket.subprotocol == "tannoy.v1.json"
        assert '"user_id":"bob"' in str(await socket.recv())


async def test_the_first_frame_may_bring_the_token_and_commands_behind_it_are_served(door: Door) -> None:
    client = await door.open("/ws/chat/first")
    await client.send("auth", token=token_of("cyd"), id=1)
    await client.send("message", content="hi", id=2)
    assert (await client.answer_to(1))["type"] == "ok"
    assert (await client.expect("welcome"))["user_id"] == "cyd"
    assert (await client.answer_to(2))["type"] == "ok"


@pytest.mark.parametrize(
    ("token", "refused"),
    [
        ("", ("bad_token", 4501)),
        ("no token", ("bad_token", 4501)),
        (sign_token("x" * 32, subject="ada", expires_at=4e9), ("bad_token", 4501)),
        (token_of(seconds=-1), ("token_expired", 4401)),
    ],
    ids=["empty", "malformed", "of another secret", "expired"],
)
@pytest.mark.parametrize("place", ["header", "first frame"])
async def test_a_bad_token_is_told_and_the_connection_closed(
    door: Door, token: str, refused: tuple[str, int], place: str
) -> None:
    if place == "header":
        client = await door.connect("/ws", token)
    else:
        client = await door.open("/ws")
        await client.send("auth", token=token)
    assert await refusal(client) == refused


async def test_a_query_is_no_place_for_a_token_and_no_log_has_it(door: Door) -> None:
    token = token_of()
    assert await refusal(await door.open(f"/ws?token={token}")) == ("bad_token", 4501)
    of_the_node = [line for line in door.node.log().splitlines() if not line.startswith(HOST_LINE)]
    assert token not in "\n".join(of_the_node)


@pytest.mark.parametrize("path", ["/ws/chat/other", "/ws/agents/43"])
async def test_a_room_or_agent_that_the_token_does_not_list_is_forbidden(door: Door, path: str) -> None:
    client = await door.connect(path, token_of(rooms=["lobby"], agents=["42"]))
    assert await refusal(client) == REFUSED_BY_A_TOKEN


async def code_of(client: Client, command: str, **fields: Any) -> str:
    answer: Frame = await client.call(command, **fields)
    return str(answer.get("code", "ok"))


async def test_each_command_is_allowed_by_its_claims(door: Door) -> None:
    client = await door.connect("/ws", token_of("dan", rooms=["team.*"], can=["publish", "observe"]))
    await client.welcomed()
    codes = {
        "join another": await code_of(client, "join", room="lobby"),
        "join": await code_of(client, "join", room="team.a"),
        "observe": await code_of(client, "join", room="team.b", observe=True),
        "recover": await code_of(client, "join", room="team.c", recover={"epoch": "e", "offset": 1}),
        "message": await code_of(client, "message", room="team.a", content=1),
        "typing": await code_of(client, "typing", room="team.a"),
        "private": await code_of(client, "private", to="ada", content=1),
        "presence": await code_of(client, "presence", room="team.a"),
        "history": await code_of(client, "history", room="team.a"),
    }
    allowed = {"join", "observe", "message", "typing"}
    assert codes == {name: "ok" if name in allowed else "forbidden" for name in codes}


async def test_a_session_ends_with_its_token(door: Door) -> None:
    client = await door.connect("/ws", token_of(seconds=2))
    await client.welcomed()
    bye, code = await client.bye()
    assert (code, bye["reason"], bye["reconnect"]) == (4401, "token expired", True)


async def test_a_refreshed_session_outlives_its_first_token(door: Door) -> None:
    client = await door.connect("/ws", token_of("eve", seconds=2))
    first = (await client.welcomed())["expires_at"]
    refreshed = await client.ok("refresh", token=token_of("eve", seconds=600))
    assert refreshed["expires_at"] > first
    other = await door.connect("/ws", token_of("eve", seconds=3))
    await other.welcomed()
    await other.bye()  # by now the first token of the other one has expired too
    assert (await client.call("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"user": "mallory"}, "forbidden"),
        ({"rooms": ["other"]}, "forbidden"),
        ({"seconds": -1}, "token_expired"),
    ],
    ids=["another user", "without a room that it is in", "expired"],
)
async def test_a_refresh_that_is_refused_leaves_the_session_as_it_was(
    door: Door, claims: dict[str, Any], code: str
) -> None:
    client = await door.connect("/ws/chat/lobby", token_of("fay"))
    await client.welcomed()
    assert await code_of(client, "refresh", token=token_of(**{"user": "fay"} | claims)) == code
    assert await code_of(client, "message", content=1) == "ok"
    assert await code_of(client, "auth", token=token_of("fay")) == "bad_request"


async def test_ten_bad_tokens_within_a_minute_end_a_session(door: Door) -> None:
    client = await door.connect("/ws", token_of("gus"))
    await client.welcomed()
    for _ in range(10):
        await client.send("refresh", token="bad")
    assert (await client.bye())[1] == 4505
