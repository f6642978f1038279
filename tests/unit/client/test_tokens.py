"""Where a token comes from: asked once, however many need it."""

import asyncio

import pytest
from tannoy.client.errors import ClientError, ConnectionLost
from tannoy.client.tokens import TokenSource

from tests.support.clock import turns


async def test_a_string_is_the_token() -> None:
    source = TokenSource("t1")
    assert (await source.get(), source.is_renewable) == ("t1", False)


async def test_without_a_token_there_is_none() -> None:
    assert await TokenSource(None).get() is None


async def test_a_coroutine_function_is_asked_once_and_its_token_kept() -> None:
    asked: list[int] = []

    async def provide() -> str:
        asked.append(1)
        return f"t{len(asked)}"

    source = TokenSource(provide)
    assert [await source.get(), await source.get()] == ["t1", "t1"]
    assert source.is_renewable


async def test_a_plain_function_may_block_and_runs_in_a_thread() -> None:
    def provide() -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return "t1"

    assert await TokenSource(provide).get() == "t1"


async def test_a_function_that_returns_an_awaitable_is_awaited() -> None:
    async def provide() -> str:
        return "t1"

    assert await TokenSource(lambda: provide()).get() == "t1"


async def test_many_that_need_a_token_at_once_ask_once() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asked: list[int] = []

    async def provide() -> str:
        asked.append(1)
        return await answer

    source = TokenSource(provide)
    waiting = [asyncio.ensure_future(source.get()) for _ in range(3)]
    await turns()
    answer.set_result("t1")
    assert (await asyncio.gather(*waiting), len(asked)) == (["t1", "t1", "t1"], 1)


async def test_a_caller_that_gives_up_does_not_stop_the_others() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def provide() -> str:
        return await answer

    source = TokenSource(provide)
    first, second = asyncio.ensure_future(source.get()), asyncio.ensure_future(source.get())
    await turns()
    first.cancel()
    await turns()
    answer.set_result("t1")
    assert await second == "t1"


async def test_a_token_that_has_expired_is_asked_for_again_once() -> None:
    asked: list[int] = []

    async def provide() -> str:
        asked.append(1)
        return f"t{len(asked)}"

    source = TokenSource(provide)
    first = await source.get()
    source.discard(first)
    second = await source.get()
    source.discard(first)  # another connection had it too, and learns of it later
    assert (second, await source.get()) == ("t2", "t2")


@pytest.mark.parametrize("error", [OSError("no network"), TimeoutError()])
async def test_a_failed_connection_of_the_function_is_a_failed_attempt(error: OSError) -> None:
    async def provide() -> str:
        raise error

    with pytest.raises(ConnectionLost) as raised:
        await TokenSource(provide).get()
    assert not raised.value.is_final


async def test_after_a_failure_the_function_is_asked_again() -> None:
    errors = [OSError("no network")]

    async def provide() -> str:
        if errors:
            raise errors.pop()
        return "t1"

    source = TokenSource(provide)
    with pytest.raises(ConnectionLost):
        await source.get()
    assert await source.get() == "t1"


async def test_another_error_of_the_function_ends_the_client() -> None:
    async def provide() -> str:
        raise KeyError("sub")

    with pytest.raises(ClientError, match="raised KeyError: 'sub'"):
        await TokenSource(provide).get()


@pytest.mark.parametrize("value", [None, "", 7])
async def test_what_is_no_token_is_refused(value: object) -> None:
    async def provide() -> str:
        return value  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    with pytest.raises(ClientError, match="a string is expected"):
        await TokenSource(provide).get()


async def test_a_renewed_token_takes_the_place_of_the_one_before() -> None:
    given = iter(["t1", "t2"])
    source = TokenSource(lambda: next(given))

    assert [await source.get(), await source.renew("t1"), await source.get()] == ["t1", "t2", "t2"]


async def test_a_token_that_another_connection_has_renewed_is_not_asked_for_again() -> None:
    given = iter(["t1", "t2"])
    source = TokenSource(lambda: next(given))
    await source.get()

    assert [await source.renew("t1"), await source.renew("t1")] == ["t2", "t2"]


async def test_a_token_that_cannot_be_renewed_is_kept() -> None:
    def provide() -> str:
        if asked:
            raise TimeoutError
        asked.append(1)
        return "t1"

    asked: list[int] = []
    source = TokenSource(provide)
    await source.get()

    with pytest.raises(ConnectionLost):
        await source.renew("t1")
    assert await source.get() == "t1"
