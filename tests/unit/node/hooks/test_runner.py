"""A call of a hook: its result, its errors, its time, and how many are under way at once."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from structlog.testing import capture_logs
from tannoy.node.hooks.errors import Forbidden, HookFailed, HookLate
from tannoy.node.hooks.runner import HookRunner

from tests.support.clock import manual_clock, on_manual_time, turns

TIMEOUT = 5.0


def runner(at_once: int = 2) -> HookRunner:
    return HookRunner("on_message", manual_clock(), timeout=TIMEOUT, at_once=at_once)


def returning(value: object, after: float = 0.0) -> Callable[[], Awaitable[object]]:
    async def hook() -> object:
        await asyncio.sleep(after)
        return value

    return hook


def raising(error: BaseException) -> Callable[[], Awaitable[object]]:
    async def hook() -> object:
        raise error

    return hook


@on_manual_time
async def test_a_hook_has_the_whole_time_and_its_result_is_returned() -> None:
    assert await runner().run(returning(7, after=TIMEOUT - 0.01)) == 7


@on_manual_time
async def test_forbidden_is_passed_on_with_its_message_as_an_error_of_its_own() -> None:
    ours = Forbidden("members only")
    hooks = runner()
    for _ in range(2):
        with pytest.raises(Forbidden, match="members only") as raised:
            await hooks.run(raising(ours))
        assert raised.value is not ours

    assert (hooks.statistics().forbidden, hooks.statistics().failed) == (2, 0)


@pytest.mark.parametrize("error", [RuntimeError("a fault"), KeyError("x"), asyncio.CancelledError()], ids=repr)
def test_any_other_error_is_a_failure_which_is_logged(error: BaseException) -> None:
    @on_manual_time
    async def check() -> None:
        hooks = runner()
        with capture_logs() as logs, pytest.raises(HookFailed, match="on_message of the application has failed"):
            await hooks.run(raising(error), user="ada")

        assert [(log["event"], log["hook"], log["user"]) for log in logs] == [
            ("a hook has failed", "on_message", "ada")
        ]
        assert hooks.statistics().failed == 1

    check()


@on_manual_time
async def test_a_hook_that_does_not_return_is_cancelled_and_late() -> None:
    hooks, was_cancelled = runner(), False

    async def hang() -> None:
        nonlocal was_cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled = True
            raise

    began = manual_clock().monotonic()
    with pytest.raises(HookLate, match=r"on_message of the application did not answer within 5 s"):
        await hooks.run(hang)

    await turns()
    assert (manual_clock().monotonic() - began, was_cancelled) == (TIMEOUT, True)
    assert (hooks.statistics().late, hooks.statistics().under_way) == (1, 0)


@on_manual_time
async def test_a_hook_that_ignores_its_cancellation_is_not_waited_for_and_keeps_its_turn() -> None:
    hooks, may_end = runner(at_once=1), asyncio.Event()

    async def go_on() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError("nobody hears of this")

    with pytest.raises(HookLate):
        await hooks.run(go_on)
    with pytest.raises(HookLate):
        await hooks.run(returning(1))
    may_end.set()

    assert await hooks.run(returning(2)) == 2
    assert (hooks.statistics().calls, hooks.statistics().late) == (2, 2)


@on_manual_time
async def test_calls_beyond_those_at_once_wait_for_their_turn_in_order() -> None:
    hooks, begun = runner(at_once=2), list[int]()

    async def hook(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(1)

    calls = [asyncio.ensure_future(hooks.run(partial(hook, number))) for number in range(5)]
    await turns()
    assert (begun, hooks.statistics().waiting) == ([0, 1], 3)
    await asyncio.gather(*calls)

    assert begun == list(range(5))


@on_manual_time
async def test_a_call_that_is_given_up_gives_its_turn_back_and_cancels_the_hook() -> None:
    hooks, was_cancelled = runner(at_once=1), asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    under_way, waiting = (asyncio.ensure_future(hooks.run(hang)) for _ in range(2))
    await turns()
    waiting.cancel()
    under_way.cancel()
    await turns()

    assert was_cancelled.is_set()
    assert (hooks.statistics().under_way, hooks.statistics().waiting, hooks.statistics().calls) == (0, 0, 1)
