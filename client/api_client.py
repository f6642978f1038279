"""The client side of the command line: speaks to a running cluster over its public HTTP interface.

Listening, over the WebSocket interface, is `subscription.py`.
"""

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import quote, urlsplit
from uuid import uuid4

from ..shared.backoff import full_jitter
from ..shared.errors import BadName, BadRequest, TannoyError
from ..shared.names import parse_agent, parse_room, parse_session, parse_user

TIMEOUT = 5.0
TRIES = 6
"""Of a message that is not confirmed: some eight seconds, in which a Redis can fail over or a node be replaced."""
BACKOFF_BASE, BACKOFF_CAP = 0.5, 4.0


class ClientError(TannoyError):
    """The cluster could not be spoken to; the message is a sentence."""


class NoAnswer(ClientError):
    """Nobody listens there."""


class Unconfirmed(ClientError):
    """What was asked for may have been done, or not."""


def url_of(host: str, port: int) -> str:
    """How to reach, from this machine, what listens on `host`: every interface includes loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def check_url(url: str) -> str:
    """The URL of a node or balancer, without a slash at its end. Raises ClientError."""
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme in ("http", "https") and parts.hostname is not None and url.isprintable() and " " not in url
        )
        _ = parts.port
    except ValueError:
        is_good = False
    if not is_good:
        raise ClientError(f"{url!r} is no address of a cluster: http://HOST:PORT and https://HOST:PORT are")
    return url.rstrip("/")


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


def is_published(target: str) -> bool:
    """Kept in the history of a room or an agent, and not only handed to who is there."""
    return not target.startswith("user:") and "/" not in target


def read_content(text: str, *, is_text: bool) -> object:
    """JSON where it is JSON; any other text as a string. Raises BadRequest."""
    if is_text:
        return text
    try:
        value: object = json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text
    except RecursionError as error:
        raise BadRequest("the content nests too deep") from error
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


class ApiClient:
    """HTTP calls to one node or balancer. Raises ClientError."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = check_url(url)
        self._api_key = api_key

    def get(self, path: str) -> dict[str, Any]:
        return self._call(urllib.request.Request(self._url + path))

    def post(self, path: str, body: object) -> dict[str, Any]:
        data = json.dumps(body).encode()
        return self._call(urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}))

    def publish(self, path: str, body: dict[str, Any], told: Callable[[str], None]) -> dict[str, Any]:
        """Post what has to be said once: again and again, under the same key, until it is confirmed or TRIES are over.

        `told` gets a sentence for each try that was not confirmed. Raises ClientError.
        """
        body = {"key": uuid4().hex} | body
        for attempt in range(TRIES):
            try:
                return self.post(path, body)
            except NoAnswer:
                if attempt == 0:
                    raise  # nobody has heard of it
                told(f"{self._url} is away.")
            except Unconfirmed as error:
                told(str(error))
            if attempt < TRIES - 1:
                time.sleep(full_jitter(attempt, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))
        raise ClientError(
            f"not confirmed in {TRIES} tries. Say it again with --key {body['key']}: it is published once."
        )

    def _call(self, request: urllib.request.Request) -> dict[str, Any]:
        """Raises NoAnswer, Unconfirmed and, where it was refused, ClientError itself."""
        if self._api_key:
            request.add_header("Authorization", f"Bearer {self._api_key}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                return cast("dict[str, Any]", json.load(response))
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                raise Unconfirmed(f"{self._url} did not confirm it: {_problem(error)}.") from error
            raise ClientError(f"{self._url} refused it: {_problem(error)}") from error
        except urllib.error.URLError as error:
            raise NoAnswer(f"no answer from {self._url}: {error.reason}. Is a cluster running there?") from error
        except (OSError, HTTPException) as error:
            raise Unconfirmed(f"{self._url} broke off: {error}.") from error


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        problem: dict[str, Any] = json.load(error)
    except ValueError:
        return f"HTTP {error.code}"
    return f"{problem.get('code', problem.get('title'))}: {problem.get('detail', '')}"


def check_target(target: str, kinds: tuple[str, ...]) -> str:
    """The target itself, if it is one of `kinds` (room, agent, session, user). Raises ValueError with the sentence."""
    kind, _, name = target.partition(":")
    kind = "session" if kind == "agent" and "/" in name else kind
    forms = {"room": "room:NAME", "agent": "agent:ID", "session": "agent:ID/SESSION", "user": "user:ID"}
    if kind not in kinds:
        raise ValueError(f"{target!r} is no target here: {', '.join(forms[allowed] for allowed in kinds)} can be used")
    try:
        api_path(target)
    except (BadName, BadRequest) as error:
        raise ValueError(error.message) from error
    return target
