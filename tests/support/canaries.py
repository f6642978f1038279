"""Secrets that are told a node, one in each place where a client may tell it one, and what the node gives away then."""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from tannoy.node.auth.signing import sign_token
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from tests.support.cluster import NodeProcess
from tests.support.raw_http import HANDSHAKE, RawHttp
from tests.support.waiting import PATIENCE

OTHER_SECRET = "another-secret-with-which-tokens-are-forged"


def new_canary() -> str:
    return f"canary{secrets.token_hex(16)}"


JWT_SECRET, API_KEY, CLUSTER_SECRET, PASSWORD = (new_canary() for _ in range(4))


class Outputs:
    """All that the nodes gave away, as text, and the secrets that must not be in it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.canaries = [JWT_SECRET, API_KEY, CLUSTER_SECRET, PASSWORD]

    def new_canary(self) -> str:
        canary = new_canary()
        self.canaries.append(canary)
        return canary

    def new_token(self, secret: str = OTHER_SECRET, **claims: Any) -> str:
        """A signed token; its signature is the canary."""
        named: dict[str, Any] = {"subject": "ada", "expires_at": time.time() + 600, **claims}
        token = sign_token(secret, **named, token_id=new_canary())
        self.canaries.append(token.rpartition(".")[2])
        return token

    def add(self, *texts: object) -> None:
        self.texts += [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in texts]

    def add_answer(self, status: int, headers: object, body: bytes) -> None:
        self.add(status, headers, body)

    def found(self) -> list[str]:
        everything = "\n".join(self.texts)
        return [canary for canary in self.canaries if canary in everything]


class Site:
    """A node and what it gave away."""

    def __init__(self, node: NodeProcess, outputs: Outputs) -> None:
        self.node, self.outputs = node, outputs

    async def converse(self, path: str, *frames: object, **options: Any) -> None:
        """Connect, send frames, and read until the node closes; `options`: of the client."""
        try:
            async with connect(self.node.ws_url + path, compression=None, **options) as socket:
                self.outputs.add(socket.response.headers if socket.response else "")
                for frame in frames:
                    await socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
                async with asyncio.timeout(PATIENCE):
                    async for frame in socket:
                        self.outputs.add(frame)
        except InvalidStatus as refused:
            response = refused.response
            self.outputs.add_answer(response.status_code, response.headers, bytes(response.body or b""))
        except (ConnectionClosed, InvalidHandshake) as ended:
            self.outputs.add(ended)
        else:
            self.outputs.add(socket.close_code, socket.close_reason)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await self.node.http.request(method, path, **options)
        self.outputs.add_answer(answer.status_code, answer.headers, answer.content)
        return answer

    async def send_raw(self, head: str) -> None:
        async with RawHttp.to(self.node.port) as http:
            answer = await http.request(head)
        self.outputs.add_answer(answer.status, answer.headers, answer.body)


Place = Callable[[Site], Awaitable[object]]
"""Tells a node a secret of its own."""


def in_header(scheme: str, path: str = "/ws") -> Place:
    return lambda site: site.converse(
        path,
        {"type": "auth", "token": ""},
        additional_headers={"Authorization": f"{scheme} {site.outputs.new_canary()}"},
    )


def token_in_header(path: str = "/ws", **claims: Any) -> Place:
    return lambda site: site.converse(
        path, additional_headers={"Authorization": f"Bearer {site.outputs.new_token(**claims)}"}
    )


def in_subprotocol(*beside: str) -> Place:
    return lambda site: site.converse(
        "/ws", subprotocols=[Subprotocol(name) for name in (*beside, "bearer", site.outputs.new_canary())]
    )


def in_target(target: str, **options: Any) -> Place:
    return lambda site: site.converse(
        target.format(site.outputs.new_canary()), {"type": "auth", "token": ""}, **options
    )


def in_first_frame(frame: str) -> Place:
    return lambda site: site.converse("/ws", frame.replace("CANARY", site.outputs.new_canary()))


def in_request(method: str, path: str, **headers: str) -> Place:
    async def ask(site: Site) -> None:
        canary = site.outputs.new_canary()
        named = {name.replace("_", "-"): value.format(canary) for name, value in headers.items()}
        await site.ask(method, path.format(canary), headers=named)

    return ask


def in_raw_head(head: str) -> Place:
    return lambda site: site.send_raw(head.replace("CANARY", site.outputs.new_canary()))


async def refresh(site: Site) -> None:
    """A session with a good token sends a bad one, and is revoked."""
    good, bad = site.outputs.new_token(JWT_SECRET, subject=f"user-{secrets.token_hex(4)}"), site.outputs.new_canary()
    commands = [
        {"type": "refresh", "token": bad, "id": 1},
        {"type": "auth", "token": bad, "id": 2},
        {"type": "join", "room": "lobby", "id": 3},
        {"type": "private", "to": bad[:20] + "!", "content": 1, "id": 4},
        *["{" for _ in range(10)],  # ten bad frames end it
    ]
    site.outputs.canaries.append(bad)
    await site.converse("/ws", *commands, additional_headers={"Authorization": f"Bearer {good}"})


PLACES: tuple[Place, ...] = (
    in_header("Bearer"),
    in_header("bearer  "),
    in_header("Basic"),
    in_header("Bearer", "/ws/chat/lobby"),
    in_header("Bearer", "/wsx"),
    token_in_header(),
    token_in_header(expires_at=1.0),
    token_in_header(subject="\n09:00:00 root"),
    token_in_header(username="\n09:00:00 root"),
    token_in_header("/ws/agents/42", secret=JWT_SECRET),
    token_in_header("/ws/chat/other", secret=JWT_SECRET, rooms=["lobby"]),
    in_subprotocol("tannoy.v1.json"),
    in_subprotocol(),
    in_subprotocol("unknown.v1"),
    in_target("/ws?token={}"),
    in_target("/ws?token={}&user_id=*"),
    in_target("/ws?token={}" + "&a=1" * 100),
    in_target("/ws?token={}&a=" + "1" * 5000),
    in_target("/nowhere?token={}"),
    in_target("/ws?token={}", origin="https://evil.example"),
    in_target("/ws?access_token={}"),
    in_first_frame('{"type":"auth","token":"CANARY"}'),
    in_first_frame('{"type":"auth","token":"CANARY"'),
    in_first_frame('{"type":"auth","token":["CANARY"]}'),
    in_first_frame('{"type":"auth","token":"CANARY","colour":1}'),
    in_first_frame('{"type":"login","password":"CANARY"}'),
    in_first_frame('{"type":"auth","token":"CANARY' + "x" * 9000 + '"}'),
    refresh,
    in_request("GET", "/api/v1/nodes", Authorization="Bearer {}"),
    in_request("GET", "/api/v1/nodes", Authorization="Basic {}"),
    in_request("GET", "/diagnostics", X_API_Key="{}"),
    in_request("GET", "/api/v1/rooms?api_key={}"),
    in_request("POST", "/api/v1/rooms/lobby/messages?key={}", Authorization="Bearer {}"),
    in_request("GET", "/nowhere?token={}"),
    in_request("GET", "/ws?token={}", Authorization="Bearer {}"),
    in_request("DELETE", "/health/live?token={}"),
    in_raw_head("GET /ws?token=CANARY HTTP/1.1\nHost: a\nHost: b"),
    in_raw_head("GET /ws?token=CANARY HTTP/7.9\nHost: a"),
    in_raw_head("GET /ws HTTP/1.1\nHost: a\nAuthorization: Bearer CANARY\nbad header CANARY"),
    in_raw_head(f"GET /ws?token=CANARY HTTP/1.1\nHost: a\n{HANDSHAKE}\nSec-WebSocket-Version: 12"),
    in_raw_head("GET /ws HTTP/1.1\nHost: a\nAuthorization: Bearer CANARY" + "\nX: 1" * 120),
)
