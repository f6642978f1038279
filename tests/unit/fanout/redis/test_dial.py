"""Names with several addresses: each has its share of the time, another one is first at each attempt. Real sockets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tannoy.fanout.redis.address import RedisAddress, parse_address
from tannoy.fanout.redis.dial import Route, try_routes
from tannoy.fanout.redis.errors import CannotConnect, RedisError

from tests.support.names import resolve_as, swallows_packets
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE

NAME = "redis.test"
FIRST, SECOND, THIRD = "127.0.1.1", "127.0.1.2", "127.0.1.3"


def at(port: int) -> RedisAddress:
    return RedisAddress(NAME, port, None, None, 0, None)


@asynccontextmanager
async def listening(port: int, *hosts: str) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for host in hosts:
            await stack.enter_async_context(await asyncio.start_server(lambda _, writer: writer.close(), host, port))
        yield


async def connect(route: Route) -> str:
    """The address of the server that has accepted the connection."""
    _, writer = await asyncio.open_connection(route.host, route.server.port)
    writer.close()
    return route.host


async def test_an_address_that_swallows_packets_leaves_time_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    resolve_as(monkeypatch, NAME, FIRST, SECOND)
    with swallows_packets(FIRST, port):
        async with listening(port, SECOND):
            assert await try_routes(at(port), connect, timeout=2.0) == SECOND


async def test_an_address_that_was_tried_first_in_vain_is_not_the_first_of_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    resolve_as(monkeypatch, NAME, FIRST, SECOND, THIRD)
    firsts: list[str] = []

    for _ in range(4):
        tried: list[str] = []

        async def fail(route: Route, tried: list[str] = tried) -> None:
            tried.append(route.host)
            raise ConnectionRefusedError("not listening")

        with pytest.raises(CannotConnect):
            await try_routes(at(port), fail, timeout=PATIENCE)
        assert sorted(tried) == [FIRST, SECOND, THIRD]
        firsts.append(tried[0])

    assert firsts == [FIRST, SECOND, THIRD, FIRST]


async def test_an_attempt_that_was_cancelled_counts_as_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    resolve_as(monkeypatch, NAME, FIRST, SECOND)
    tried: list[str] = []
    for _ in range(2):
        has_begun = asyncio.Event()

        async def hang(route: Route, has_begun: asyncio.Event = has_begun) -> None:
            tried.append(route.host)
            has_begun.set()
            await asyncio.Event().wait()

        attempt = asyncio.create_task(try_routes(at(port), hang, timeout=PATIENCE))
        await has_begun.wait()
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)

    assert tried == [FIRST, SECOND]


async def test_an_address_that_works_again_is_preferred_as_the_resolver_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    resolve_as(monkeypatch, NAME, FIRST, SECOND)
    async with listening(port, SECOND):
        assert await try_routes(at(port), connect, timeout=PATIENCE) == SECOND
    async with listening(port, FIRST):
        assert await try_routes(at(port), connect, timeout=PATIENCE) == FIRST
    async with listening(port, FIRST, SECOND):
        assert await try_routes(at(port), connect, timeout=PATIENCE) == FIRST


async def test_the_error_has_the_reason_of_each_address(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    resolve_as(monkeypatch, NAME, FIRST, SECOND)
    with swallows_packets(FIRST, port), pytest.raises(CannotConnect) as caught:
        await try_routes(at(port), connect, timeout=1.0)
    first, second = str(caught.value).split("; ")
    assert first == f"{FIRST}: does not answer"
    assert second.startswith(f"{SECOND}: ")
    assert "Connect call failed" in second


async def test_a_server_that_refuses_says_more_than_one_that_can_not_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_as(monkeypatch, NAME, FIRST, SECOND)

    async def refuse(route: Route) -> None:
        if route.host == FIRST:
            raise RedisError("WRONGPASS invalid username-password pair")
        raise ConnectionRefusedError("not listening")

    with pytest.raises(RedisError, match="WRONGPASS"):
        await try_routes(at(free_port()), refuse, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("", None),
        ("app@", ("app", "")),
        ("app:@", ("app", "")),
        (":secret@", ("default", "secret")),
        ("app:secret@", ("app", "secret")),
    ],
)
async def test_a_server_is_logged_in_to_as_the_url_says(login: str, expected: tuple[str, str] | None) -> None:
    address = parse_address(f"redis://{login}127.0.0.1")
    assert isinstance(address, RedisAddress)

    async def login_of(route: Route) -> tuple[str, str] | None:
        return route.login

    assert await try_routes(address, login_of, timeout=PATIENCE) == expected
