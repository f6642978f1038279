"""Over the HTTP API of a node or load balancer, for those that must not reach Redis (docs/protocol.md §6)."""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import orjson

from ..fanout.batches import batched, batched_by_size
from ..shared.channels import ChannelKind
from ..shared.codes import ErrorCode
from ..shared.errors import Unavailable
from ..shared.extras import HTTP_PACKAGES, require_extra
from ..shared.names import AgentId, SessionId, StreamId, UserId
from ..shared.protocol.frames import Author
from ..shared.publication import BATCH_MAX, Position
from ..shared.streams import Ended, StreamHeader, StreamStatus, Written
from .encoding import encode_content
from .errors import PublisherClosed, PublishError, PublishRefused, PublishUnavailable, StreamBroken, refused
from .http_streams import begin_fields, broken_by, read_ended, read_written, stream_path, streams_path
from .messages import ChannelMessage
from .retries import repeat
from .route import Result
from .settings import PublisherSettings

if TYPE_CHECKING:
    import httpx

BATCH_BYTES = 524_288
"""Bytes of the messages in one `POST /messages`: a node takes twice as many, with the default MESSAGE_MAX_BYTES."""
_TRY_AGAIN = frozenset({502, 503, 504})
"""Of a node that can't confirm, or of a proxy in front of it."""


class _NotSent(Unavailable):
    """No server has seen the request."""


class HttpRoute:
    """Publishes are repeated until the time-out; what goes to one session or user only while nobody has seen it."""

    def __init__(self, settings: PublisherSettings) -> None:
        """Raises MissingExtra, a TannoyError."""
        require_extra("http", HTTP_PACKAGES, importer="a publisher with an http:// URL")
        self._url = settings.url.rstrip("/")
        self._timeout = settings.timeout
        self._headers = {"Content-Type": "application/json"}
        if settings.api_key:
            self._headers["Authorization"] = f"Bearer {settings.api_key}"
        self._own_keys, self._numbers = secrets.token_hex(8), itertools.count(1)
        self._http: httpx.AsyncClient | None = None
        self._is_closed = False
        self._under_way: dict[asyncio.Future[None], asyncio.Timeout] = {}  # requests: when each ends, what ends it

    # ---- life

    failure = None
    """No part of it goes on between two calls."""

    async def open(self) -> None:
        """Ask for one answer, so that a wrong URL or key shows itself here. Raises PublishError."""
        import httpx

        self._http = httpx.AsyncClient(headers=self._headers, timeout=self._timeout, follow_redirects=False)
        try:
            await self._until_confirmed(partial(self._post, "/messages", _encode({"messages": []})), None)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End all requests, so that none opens a connection when the client is closed already."""
        self._is_closed = True
        for timeout in self._under_way.values():
            timeout.reschedule(asyncio.get_running_loop().time())
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._http is not None:
            await self._http.aclose()

    # ---- messages

    async def publish(self, message: ChannelMessage) -> Position | None:
        kind = "rooms" if message.kind is ChannelKind.ROOM else "agents"
        body = _fields(message.content, message.author) | self._optional(message)
        attempt = partial(self._post, f"/{kind}/{quote(message.name)}/messages", _encode(body))
        return _position(await self._until_confirmed(attempt, message.key))

    async def publish_many(self, messages: Iterable[ChannelMessage]) -> list[Result]:
        results: list[Result] = []
        for small in batched_by_size(map(self._try_encode, messages), _size_of, BATCH_BYTES):
            for batch in batched(small, BATCH_MAX):
                published = iter(await self._publish_batch([each for each in batch if isinstance(each, bytes)]))
                results += [next(published) if isinstance(each, bytes) else each for each in batch]
        return results

    def _try_encode(self, message: ChannelMessage) -> bytes | PublishError:
        place = "room" if message.kind is ChannelKind.ROOM else "agent_id"
        try:
            return _encode({place: message.name} | _fields(message.content, message.author) | self._optional(message))
        except PublishError as refusal:
            return refusal

    async def _publish_batch(self, batch: list[bytes]) -> list[Result]:
        """Each as JSON. Those that the node could not confirm are sent again, until the time-out."""
        if not batch:
            return []
        results: list[Result] = [None] * len(batch)
        unconfirmed = list(range(len(batch)))

        async def attempt() -> dict[str, Any]:
            answer = await self._post(
                "/messages", _encode({"messages": [orjson.Fragment(batch[index]) for index in unconfirmed]})
            )
            left: list[int] = []
            for index, result in zip(tuple(unconfirmed), answer["results"], strict=True):
                if result.get("code") == ErrorCode.UNAVAILABLE:
                    left.append(index)
                else:
                    results[index] = _refusal(result) if "code" in result else _position(result)
            unconfirmed[:] = left
            if left:
                raise Unavailable(f"{len(left)} of {len(batch)} messages were not confirmed", retry_after=0.0)
            return answer

        try:
            await self._until_confirmed(attempt, None)
        except PublisherClosed:
            raise
        except PublishError as error:
            for index in unconfirmed:
                results[index] = error
        return results

    async def send_to_session(self, agent: AgentId, session: SessionId, author: Author, content: object) -> int:
        return await self._send(f"/agents/{quote(agent)}/sessions/{quote(session)}/messages", author, content)

    async def send_to_user(self, user: UserId, author: Author, content: object) -> int:
        return await self._send(f"/users/{quote(user)}/messages", author, content)

    async def _send(self, path: str, author: Author, content: object) -> int:
        attempt = partial(self._post, path, _encode(_fields(content, author)))
        answer = await self._until_confirmed(attempt, None, is_final=lambda failed: not isinstance(failed, _NotSent))
        return int(answer["sessions"])

    # ---- streams

    async def begin_stream(self, kind: ChannelKind, name: str, header: StreamHeader) -> None:
        """A repetition that finds the name taken has begun it with the try before."""
        body, tries = _encode(begin_fields(header)), itertools.count()

        async def attempt() -> dict[str, Any]:
            is_repeated = next(tries) > 0
            try:
                return await self._post(streams_path(kind, name), body)
            except StreamBroken:
                if not is_repeated:
                    raise
                return {}

        await self._until_confirmed(attempt, None)

    async def write_stream(
        self, kind: ChannelKind, name: str, stream_id: StreamId, piece: bytes, start: int
    ) -> Written:
        body = _encode({"text": piece.decode(), "from": start})
        attempt = partial(self._post, stream_path(kind, name, stream_id), body)
        return read_written(await self._until_confirmed(attempt, None))

    async def end_stream(self, kind: ChannelKind, name: str, stream_id: StreamId, status: StreamStatus) -> Ended:
        attempt = partial(self._post, f"{stream_path(kind, name, stream_id)}/end", _encode({"status": status.value}))
        return read_ended(await self._until_confirmed(attempt, None))

    def _optional(self, message: ChannelMessage) -> dict[str, object]:
        fields: dict[str, object] = {"key": message.key or f"{self._own_keys}-{next(self._numbers)}"}
        if message.exclude:
            fields["exclude_session"] = message.exclude
        return fields

    # ---- requests

    async def _until_confirmed(
        self,
        attempt: Callable[[], Awaitable[dict[str, Any]]],
        key: str | None,
        *,
        is_final: Callable[[Unavailable], bool] = lambda failed: False,
    ) -> dict[str, Any]:
        """The answer to a request that is repeated until the time-out. Raises PublishError."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    return await attempt()
            except TimeoutError:
                raise self._unconfirmed("no answer came", key) from None
            except Unavailable as error:
                return await repeat(
                    attempt,
                    error,
                    deadline=deadline,
                    is_final=lambda failed: self._is_closed or is_final(failed),
                    least_pause=lambda failed: failed.retry_after or 0.0,
                )
        except Unavailable as error:
            raise self._unconfirmed(error.message, key) from error

    async def _post(self, path: str, body: bytes) -> dict[str, Any]:
        """Raises Unavailable where another try is worth it, else PublishError."""
        import httpx

        try:
            response = await self._request(f"{self._url}/api/v1{path}", body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _NotSent(f"no connection: {error or type(error).__name__}", retry_after=0.0) from error
        except httpx.TransportError as error:
            raise Unavailable(f"{type(error).__name__}: {error}", retry_after=0.0) from error
        answer = _read(response)
        if response.status_code in _TRY_AGAIN:
            said = f"HTTP {response.status_code}: {answer.get('detail', 'no reason given')}"
            raise Unavailable(said, retry_after=float(answer.get("retry_after", 0.0)))
        if response.status_code != 200:
            raise self._not_accepted(response.status_code, answer)
        return answer

    async def _request(self, url: str, body: bytes) -> "httpx.Response":
        """Raises PublisherClosed if the publisher is closed, before or meanwhile."""
        if self._http is None or self._is_closed:
            raise PublisherClosed
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(None) as timeout:
                self._under_way[ended] = timeout
                return await self._http.post(url, content=body)
        except TimeoutError:
            raise PublisherClosed from None
        finally:
            del self._under_way[ended]
            ended.set_result(None)

    def _not_accepted(self, status: int, problem: Mapping[str, Any]) -> PublishRefused:
        if (broken := broken_by(status, problem)) is not None:
            return broken
        if "code" in problem:
            return _refusal(problem)
        what = problem.get("detail", "is there a cluster at this URL?")
        return PublishRefused(f"{self._url} answers HTTP {status}: {what}", ErrorCode.BAD_REQUEST)

    def _unconfirmed(self, said: str, key: str | None) -> PublishError:
        if self._is_closed:
            return PublisherClosed()
        return PublishUnavailable(f"{self._url} has not confirmed it within {self._timeout:g} s: {said}", key=key)


def _fields(content: object, author: Author) -> dict[str, object]:
    """`content` is checked. Raises PublishRefused."""
    fields: dict[str, object] = {"content": orjson.Fragment(encode_content(content))}
    if author.user_id is not None:
        fields["user_id"] = author.user_id
    if author.username is not None:
        fields["username"] = author.username
    return fields


def _encode(body: object) -> bytes:
    return orjson.dumps(body)


def _size_of(entry: bytes | PublishError) -> int:
    return len(entry) if isinstance(entry, bytes) else 0


def _read(response: "httpx.Response") -> dict[str, Any]:
    """The object that a node has answered with; an empty one: something else has answered."""
    try:
        answer: object = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


def _position(answer: Mapping[str, Any]) -> Position | None:
    return Position(answer["epoch"], answer["offset"]) if "offset" in answer else None


def _refusal(problem: Mapping[str, Any]) -> PublishRefused:
    code = problem["code"]
    known = ErrorCode(code) if code in set(ErrorCode) else ErrorCode.INTERNAL
    return refused(known, str(problem.get("detail", code)), problem.get("retry_after"))
