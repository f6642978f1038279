"""HTTP calls to a running cluster, for the command line."""

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

from ..shared.backoff import full_jitter
from ..shared.errors import BadRequest
from .errors import ClientError, NoAnswer, Unconfirmed
from .proxies import describe_way, find_proxy
from .targets import check_url

REQUEST_TIMEOUT = 5.0
"""Seconds."""
TRIES = 6
"""How often an unconfirmed message is sent: some eight seconds, in which Redis can fail over or a node restart."""
BACKOFF_BASE, BACKOFF_CAP = 0.5, 4.0
"""Seconds between two tries, with full jitter."""


def parse_content(text: str, *, is_text: bool) -> object:
    """The value of a JSON text; any other text, and every text with `is_text`, as a string. Raises BadRequest."""
    if is_text:
        return text
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text
    except RecursionError as error:
        raise BadRequest("the content nests too deep") from error
    return value


def _refuse_constant(name: str) -> object:
    """Python reads NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{name} is not JSON")


class ApiClient:
    """HTTP calls to one node or load balancer."""

    def __init__(self, url: str, api_key: str, *, is_own_node: bool = False) -> None:
        """`is_own_node`: the node runs on this machine, so no proxy is used. Raises ClientError for a malformed URL."""
        self._url = check_url(url)
        self._api_key = api_key
        proxy = None if is_own_node else find_proxy(self._url)
        proxies = {} if proxy is None else {urlsplit(self._url).scheme: proxy.url}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
        self._address = self._url + describe_way(proxy)

    def get(self, path: str) -> dict[str, Any]:
        """Raises ClientError."""
        return self._call(urllib.request.Request(self._url + path))

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Send `body` as JSON. Raises ClientError."""
        return self._send("POST", path, body)

    def put(self, path: str, body: object) -> dict[str, Any]:
        """Send `body` as JSON. Raises ClientError."""
        return self._send("PUT", path, body)

    def delete(self, path: str) -> dict[str, Any]:
        """Raises ClientError."""
        return self._call(urllib.request.Request(self._url + path, method="DELETE"))

    def _send(self, method: str, path: str, body: object) -> dict[str, Any]:
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        return self._call(urllib.request.Request(self._url + path, data, headers, method=method))

    def publish(self, path: str, body: dict[str, Any], report: Callable[[str], None]) -> dict[str, Any]:
        """Publish a message exactly once: repeat it under the same idempotency key until it is confirmed.

        `report` gets a sentence for each try that was not confirmed. Raises ClientError after TRIES tries.
        """
        body = {"key": uuid4().hex} | body
        for attempt in range(TRIES):
            try:
                return self.post(path, body)
            except NoAnswer:
                if attempt == 0:
                    raise  # no server has seen the message, so there is no result to wait for
                report(f"{self._address} does not answer.")
            except Unconfirmed as error:
                report(str(error))
            if attempt < TRIES - 1:
                time.sleep(full_jitter(attempt, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))
        raise ClientError(
            f"not confirmed in {TRIES} tries. Repeat the command with --key {body['key']}: "
            "the message is published only once."
        )

    def _call(self, request: urllib.request.Request) -> dict[str, Any]:
        """Raises NoAnswer, Unconfirmed, or, if the request was refused, ClientError itself."""
        if self._api_key:
            request.add_header("Authorization", f"Bearer {self._api_key}")
        try:
            with self._opener.open(request, timeout=REQUEST_TIMEOUT) as response:
                return cast("dict[str, Any]", json.load(response))
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                raise Unconfirmed(
                    f"{self._address} did not confirm the request: {_describe_problem(error)}."
                ) from error
            raise ClientError(f"{self._address} refused the request: {_describe_problem(error)}") from error
        except urllib.error.URLError as error:
            raise NoAnswer(f"no answer from {self._address}: {error.reason}. Is a cluster running there?") from error
        except (OSError, HTTPException) as error:
            raise Unconfirmed(f"{self._address} closed the connection before it answered: {error}.") from error


def _describe_problem(error: urllib.error.HTTPError) -> str:
    """The code and the detail of a problem document (RFC 9457)."""
    try:
        problem: dict[str, Any] = json.load(error)
    except ValueError:
        return f"HTTP {error.code}"
    return f"{problem.get('code', problem.get('title'))}: {problem.get('detail', '')}"
