"""The client side of the command line: speaks to a running cluster over its public HTTP and WebSocket interfaces."""

import asyncio
import json
import random
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import quote, urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from ..shared.codec import JSON
from ..shared.errors import BadName, BadRequest, TannoyError
from ..shared.names import parse_agent, parse_room, parse_session, parse_user
from ..shared.policy import full_jitter

TIMEOUT = 5.0
BACKOFF_BASE, BACKOFF_CAP = 0.5, 15.0


class TalkError(TannoyError):
    """The cluster could not be spoken to; the message is a sentence."""


def api_path(target: str) -> str:
    """The path that publishes to `room:NAME`, `agent:ID`, `agent:ID/SESSION`, `user:ID`. Raises BadRequest, BadName."""
    kind, _, name = target.partition(":")
    agent, slash, session = name.partition("/")
    match kind:
        case "room":
            return f"/api/v1/rooms/{quote(parse_room(name))}/messages"
        case "agent" if slash:
            return f"/api/v1/agents/{quote(parse_agent(agent))}/sessions/{quote(parse_session(session))}/messages"
        case "agent":
            return f"/api/v1/agents/{quote(parse_agent(name))}/messages"
        case "user":
            return f"/api/v1/users/{quote(parse_user(name))}/messages"
        case _:
            raise BadRequest(f"{target!r} is no target: room:NAME, agent:ID, agent:ID/SESSION and user:ID are")


def websocket_path(target: str) -> str:
    """The endpoint that hears `room:NAME` or `agent:ID`. Raises BadRequest, BadName."""
    kind, _, name = target.partition(":")
    if kind == "room":
        return f"/ws/chat/{quote(parse_room(name))}"
    if kind == "agent":
        return f"/ws/agents/{quote(parse_agent(name))}"
    raise BadRequest(f"{target!r} can't be watched: room:NAME and agent:ID can")


def read_content(text: str, *, is_text: bool) -> object:
    """JSON where it is JSON; any other text as a string."""
    if is_text:
        return text
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


class Talk:
    """HTTP calls to one node or balancer. Raises TalkError."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key

    def get(self, path: str) -> dict[str, Any]:
        return self._call(urllib.request.Request(self._url + path))

    def post(self, path: str, body: object) -> dict[str, Any]:
        data = json.dumps(body).encode()
        return self._call(urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}))

    def _call(self, request: urllib.request.Request) -> dict[str, Any]:
        if not self._url.startswith(("http://", "https://")):
            raise TalkError(f"{self._url} has to begin with http:// or https://")
        if self._api_key:
            request.add_header("Authorization", f"Bearer {self._api_key}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                return cast("dict[str, Any]", json.load(response))
        except urllib.error.HTTPError as error:
            raise TalkError(f"{self._url} refused it: {_problem(error)}") from error
        except OSError as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise TalkError(f"no answer from {self._url}: {reason}. Is a cluster running there?") from error


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        problem: dict[str, Any] = json.load(error)
    except ValueError:
        return f"HTTP {error.code}"
    return f"{problem.get('code', problem.get('title'))}: {problem.get('detail', '')}"


async def watch(url: str, target: str) -> AsyncIterator[dict[str, Any]]:
    """All frames that a session of `target` gets; comes back after every loss for which the contract says so.

    Yields `{"type": "lost", "reason": …}` between two connections. Raises TalkError where coming back is pointless.
    """
    address = url.rstrip("/").replace("http", "ws", 1) + websocket_path(target)
    address += "?" + urlencode({"username": "tannoy watch"})
    attempt = 0
    while True:
        try:
            async with connect(address, subprotocols=[Subprotocol(JSON.subprotocol)], max_size=None) as socket:
                attempt = 0
                async for frame in _frames(socket):
                    yield frame
            reason = "the connection ended"
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
            reason = f"{code} {closed.rcvd.reason if closed.rcvd else 'connection lost'}"
            if code >= 4500:
                raise TalkError(f"the cluster closed the connection for good: {reason}") from closed
        except (OSError, InvalidHandshake, TimeoutError) as error:
            reason = str(error)
        yield {"type": "lost", "reason": reason}
        await asyncio.sleep(full_jitter(attempt, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))
        attempt += 1


async def _frames(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    async for text in socket:
        frame: dict[str, Any] = json.loads(text)
        if frame["type"] == "ping":
            await socket.send('{"type":"pong"}')
        else:
            yield frame


def check_target(target: str, *, to_watch: bool) -> str:
    """The target itself. Raises ValueError with the sentence."""
    try:
        (websocket_path if to_watch else api_path)(target)
    except (BadName, BadRequest) as error:
        raise ValueError(error.message) from error
    return target
