"""The back end that the HTTP hooks speak to: signed requests over pooled connections, each bounded in time and bytes.

Redirects are not followed, and neither proxies nor `.netrc` of the environment are used: what is sent goes to the
address of the settings, and to no other. The address is checked when a connection to it is there, before anything is
sent: what a name leads to may change between any two looks.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from ...shared.clock import Clock
from ...shared.errors import StartError, Unavailable
from ...shared.ip_addresses import IpNetwork, is_ip_address
from ..external.breaker import CircuitBreaker
from ..external.service import WorkStatistics, without_credentials
from ..external.window import TimeWindow
from .addresses import AddressRefused, check_address
from .signature import SIGNATURE_HEADER, sign

ANSWER_MAX_BYTES = 65_536
"""Of the body of an answer."""
KEPT_IDLE = 10
"""Connections that stay open between two requests, for KEPT_SECONDS."""
KEPT_SECONDS = 30.0
_max_age = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})\"?\s*(?:,|$)", re.IGNORECASE).search
_not_kept = re.compile(r"(?:^|,)\s*no-(?:store|cache)\s*(?:,|=|$)", re.IGNORECASE).search


class Work(StrEnum):
    """The classes of work, each behind a circuit breaker of its own: where events fail, questions may succeed."""

    EVENTS = "events"
    QUESTIONS = "questions"


class TargetFailed(Unavailable):
    """The target did not answer, or not with what counts as an answer: it may do so later."""


@dataclass(frozen=True, slots=True)
class TargetRules:
    """`secret`: signs the requests. `timeout`: seconds of a request, from the connection to the last byte.

    `networks`: private addresses in them are allowed. `at_once`: requests that may be under way.
    """

    secret: bytes
    timeout: float
    networks: tuple[IpNetwork, ...] = ()
    at_once: int = 100
    http2: bool = False


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    status: int
    body: bytes
    max_age: int
    """Seconds for which it may be used again; 0: for this request alone."""


class HookTarget:
    """An ExternalService. `setting` names where its URL comes from. Raises StartError."""

    is_required = False

    def __init__(self, name: str, setting: str, url: str, rules: TargetRules, clock: Clock, *, version: str) -> None:
        self.name = name
        self._url = parse_target(setting, url, rules)
        self.address = without_credentials(url)
        self._rules = rules
        self._clock = clock
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"tannoy/{version}",
            "Accept-Encoding": "identity",  # a small answer could unpack to a large one
        }
        self._http: httpx.AsyncClient | None = None
        self._in_use = 0
        self._failure: str | None = None
        self._answered = TimeWindow()
        self._breakers = {work: CircuitBreaker(f"the {name} ({work})", clock) for work in Work}

    # ---- ExternalService

    async def open(self) -> None:
        """Nothing is asked: the first event, or the first client, is the first request."""
        limits = httpx.Limits(
            max_connections=self._rules.at_once,
            max_keepalive_connections=KEPT_IDLE,
            keepalive_expiry=KEPT_SECONDS,
        )
        # Reading the system's authorities takes a while.
        self._http = await asyncio.to_thread(
            httpx.AsyncClient,
            http2=self._rules.http2,
            limits=limits,
            timeout=self._rules.timeout,
            follow_redirects=False,
            trust_env=False,
        )

    async def check(self) -> None:
        """What the last request has shown: a target takes no requests but those that mean something."""
        if self._failure is not None:
            raise TargetFailed(self._failure)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    def statistics(self) -> WorkStatistics:
        return WorkStatistics(
            connections=self._in_use,
            in_use=self._in_use,
            acquired=self._answered.statistics(),
            breakers={work.value: breaker.statistics() for work, breaker in self._breakers.items()},
        )

    # ---- requests

    async def post(self, work: Work, body: bytes, is_answer: Callable[[int], bool]) -> TargetAnswer:
        """Send a request with this body. `is_answer`: which statuses are answers, and no failures.

        Raises TargetFailed, or CircuitOpen at once. Use it after `open`, before `close`.
        """
        self._in_use += 1
        try:
            with self._breakers[work].guard():
                answer = await self._send(work, body)
                if work is Work.EVENTS:
                    check_status(answer, is_answer)
            # A status does not open the circuit of questions: a client whose question makes the target fail would
            # keep all others out.
            check_status(answer, is_answer)
        except TargetFailed as failure:
            self._failure = failure.message
            raise
        finally:
            self._in_use -= 1
        self._failure = None
        return answer

    async def _send(self, work: Work, body: bytes) -> TargetAnswer:
        """Raises TargetFailed."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._rules.timeout):
                answer = await self._exchange(work, body)
        except TimeoutError:
            raise TargetFailed(f"no whole answer within {self._rules.timeout:g} s") from None
        except AddressRefused as refusal:
            raise TargetFailed(str(refusal)) from None
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise TargetFailed(f"no answer: {_words_of(error)}") from error
        self._answered.record(self._clock.monotonic() - started)
        return answer

    async def _exchange(self, work: Work, body: bytes) -> TargetAnswer:
        assert self._http is not None, "the target is not open"
        signature = sign(self._rules.secret, body, int(self._clock.now()))
        headers = {**self._headers, SIGNATURE_HEADER: signature, "Tannoy-Hook": work.value}
        extensions = {"trace": self._check_connected}
        async with self._http.stream(
            "POST", self._url, content=body, headers=headers, extensions=extensions
        ) as response:
            read = bytearray()
            async for piece in response.aiter_raw():
                read += piece
                if len(read) > ANSWER_MAX_BYTES:
                    raise TargetFailed(f"the answer has more than {ANSWER_MAX_BYTES} bytes")
            return TargetAnswer(response.status_code, bytes(read), read_max_age(response.headers))

    async def _check_connected(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore for each step of a request. Raises AddressRefused behind a new connection."""
        if event != "connection.connect_tcp.complete":
            return
        stream = info["return_value"]
        host, *_ = stream.get_extra_info("server_addr")
        try:
            check_address(host, self._rules.networks, is_encrypted=self._url.scheme == "https")
        except AddressRefused:
            await stream.aclose()
            raise


def parse_target(setting: str, url: str, rules: TargetRules) -> httpx.URL:
    """Raises StartError, with what is allowed."""
    allowed = f"{setting} is no address: https://HOST[:PORT]/PATH is allowed"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise StartError(allowed) from None  # a password may stand in it
    if parsed.scheme not in ("https", "http") or not parsed.host or parsed.fragment:
        raise StartError(allowed)
    if is_ip_address(parsed.host):
        try:
            check_address(parsed.host, rules.networks, is_encrypted=parsed.scheme == "https")
        except AddressRefused as refusal:
            raise StartError(f"{setting}: {refusal}") from refusal
    return parsed


def check_status(answer: TargetAnswer, is_answer: Callable[[int], bool]) -> None:
    """Raises TargetFailed."""
    if not is_answer(answer.status):
        hint = ", a redirect, which is not followed: set its target" if 300 <= answer.status < 400 else ""
        raise TargetFailed(f"the answer is {answer.status}{hint}")


def read_max_age(headers: httpx.Headers) -> int:
    """Seconds for which an answer may be used again, by `Cache-Control: max-age=N`. 0: it does not say so."""
    control = headers.get("Cache-Control", "")
    found = _max_age(control)
    return 0 if found is None or _not_kept(control) else int(found[1])


def _words_of(error: Exception) -> str:
    """Without what the other side has sent."""
    if isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError):
        return f"what came is not HTTP ({type(error).__name__})"
    return str(error)[:200] or type(error).__name__
