"""Requests to a target: a real HTTP server on loopback that answers as well or as badly as a test wants."""

import socket
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tannoy.fanout.external.breaker import CircuitOpen, CircuitState
from tannoy.fanout.webhooks.delivery import is_answer
from tannoy.fanout.webhooks.target import (
    ANSWER_MAX_BYTES,
    HookTarget,
    TargetFailed,
    TargetRules,
    Work,
    parse_target,
    read_max_age,
)
from tannoy.shared.clock import SystemClock
from tannoy.shared.errors import StartError
from tannoy.shared.ip_addresses import IpNetwork, parse_network

from tests.support.hook_receiver import SECRET, Answer, HookReceiver, Request
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE

LOOPBACK = (parse_network("127.0.0.0/8"), parse_network("::1"))


@pytest.fixture
def receiver() -> Generator[HookReceiver]:
    with HookReceiver().running() as receiver:
        yield receiver


@asynccontextmanager
async def opened(
    url: str, networks: tuple[IpNetwork, ...] = LOOPBACK, timeout: float = PATIENCE
) -> AsyncGenerator[HookTarget]:
    rules = TargetRules(SECRET.encode(), timeout, networks=networks)
    target = HookTarget("hook target", "TANNOY_HOOK_URL", url, rules, SystemClock(), version="0")
    await target.open()
    try:
        yield target
    finally:
        await target.close()


async def test_a_request_is_signed_and_says_what_it_is(receiver: HookReceiver) -> None:
    async with opened(receiver.url) as target:
        answer = await target.post(Work.EVENTS, b'{"events": []}', is_answer)
    (request,) = receiver.requests
    assert answer.status == 200
    assert (request.path, request.hook, request.body, request.is_signed) == ("/hooks", "events", '{"events": []}', True)


async def test_a_redirect_is_not_followed(receiver: HookReceiver) -> None:
    receiver.answer = lambda request: Answer(307, headers={"Location": receiver.url + "/other"})
    async with opened(receiver.url) as target:
        with pytest.raises(TargetFailed, match="307, a redirect, which is not followed"):
            await target.post(Work.EVENTS, b"{}", is_answer)
    assert len(receiver.requests) == 1


async def test_a_name_that_leads_to_a_private_address_is_not_sent_anything(receiver: HookReceiver) -> None:
    async with opened(f"http://localhost:{receiver.port}/", networks=()) as target:
        with pytest.raises(TargetFailed, match="is a private address: TANNOY_HOOK_NETWORKS"):
            await target.post(Work.EVENTS, b"{}", is_answer)
    assert receiver.requests == []


async def test_the_address_counts_that_the_name_leads_to_when_it_is_connected_to(
    receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: a public address at the first look, and a private one when it is connected to."""
    resolve = socket.getaddrinfo

    def resolve_to_loopback(host: object, *more: Any, **named: Any) -> Any:
        return resolve("127.0.0.1", *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_to_loopback)
    async with opened(f"https://hooks.example.org:{receiver.port}/", networks=()) as target:
        with pytest.raises(TargetFailed, match=r"127\.0\.0\.1 is a private address"):
            await target.post(Work.EVENTS, b"{}", is_answer)
    assert receiver.requests == []


async def test_a_target_that_hangs_fails_in_time(receiver: HookReceiver) -> None:
    ends = threading.Event()

    def hang(request: Request) -> Answer:
        ends.wait(PATIENCE)
        return Answer()

    receiver.answer = hang
    async with opened(receiver.url, timeout=0.1) as target:
        with pytest.raises(TargetFailed, match=r"no (whole answer within 0.1 s|answer)"):
            await target.post(Work.EVENTS, b"{}", is_answer)
    ends.set()


async def test_an_answer_without_end_is_not_read_to_its_end(receiver: HookReceiver) -> None:
    receiver.answer = lambda request: Answer(200, "x" * ANSWER_MAX_BYTES)
    async with opened(receiver.url) as target:
        with pytest.raises(TargetFailed, match="more than 65536 bytes"):
            await target.post(Work.EVENTS, b"{}", is_answer)


async def test_a_target_that_is_away_opens_the_circuit_and_the_check_says_why() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}/") as target:
        await target.check()
        for _ in range(3):
            with pytest.raises(TargetFailed, match="no answer"):
                await target.post(Work.EVENTS, b"{}", is_answer)
        with pytest.raises(CircuitOpen):
            await target.post(Work.EVENTS, b"{}", is_answer)
        with pytest.raises(TargetFailed, match="no answer"):
            await target.check()


async def test_a_question_that_makes_the_target_fail_keeps_no_others_out(receiver: HookReceiver) -> None:
    receiver.answer = lambda request: Answer(500)
    async with opened(receiver.url) as target:
        for work, state in ((Work.QUESTIONS, CircuitState.CLOSED), (Work.EVENTS, CircuitState.OPEN)):
            for _ in range(3):
                with pytest.raises(TargetFailed, match="the answer is 500"):
                    await target.post(work, b"{}", is_answer)
            assert target.statistics().breakers[work].state is state


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.org",
        "ftp://example.org/",
        "https://",
        "https:///x",
        "https://example.org/#part",
        "https://[::1/",
    ],
)
def test_what_is_no_address_stops_the_start(url: str) -> None:
    with pytest.raises(StartError, match="TANNOY_HOOK_URL is no address: https://HOST"):
        parse_target("TANNOY_HOOK_URL", url, TargetRules(b"", 1))


@pytest.mark.parametrize("url", ["https://10.0.0.7/hooks", "https://[::1]/", "http://93.184.215.14/"])
def test_an_address_that_may_not_be_reached_stops_the_start(url: str) -> None:
    with pytest.raises(StartError, match="TANNOY_HOOK_NETWORKS"):
        parse_target("TANNOY_HOOK_URL", url, TargetRules(b"", 1))


def test_the_address_is_shown_without_credentials() -> None:
    rules = TargetRules(SECRET.encode(), 1)
    url = "https://user:password@example.org/hooks?key=secret"
    assert HookTarget("t", "S", url, rules, SystemClock(), version="0").address == "https://example.org/hooks"


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("max-age=60", 60),
        ("private, max-age=60", 60),
        ("Max-Age=60", 60),
        ("no-store, max-age=60", 0),
        ("no-cache, max-age=60", 0),
        ("s-maxage=60", 0),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("", 0),
    ],
)
def test_an_answer_may_be_kept_for_max_age(control: str, seconds: int) -> None:
    assert read_max_age(httpx.Headers({"Cache-Control": control})) == seconds
