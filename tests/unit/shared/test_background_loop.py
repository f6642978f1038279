"""An event loop in a thread, called from others."""

import asyncio
import threading

import pytest
from tannoy.shared.background_loop import BackgroundLoop


class Closed(Exception):
    """The loop was stopped."""


async def _fail() -> None:
    raise LookupError("inside")


async def _thread_name() -> str:
    return threading.current_thread().name


def test_a_call_returns_and_raises_what_its_coroutine_does_in_the_thread_of_the_loop() -> None:
    loop = BackgroundLoop("tannoy-test", Closed)
    assert loop.call(_thread_name()) == "tannoy-test"
    with pytest.raises(LookupError, match="inside"):
        loop.call(_fail())
    loop.stop()


def test_a_call_after_the_stop_is_refused() -> None:
    loop = BackgroundLoop("tannoy-test", Closed)
    loop.stop()
    loop.stop()
    with pytest.raises(Closed):
        loop.call(_thread_name())


def test_stop_ends_the_calls_of_other_threads() -> None:
    loop, began, outcome = BackgroundLoop("tannoy-test", Closed), threading.Event(), list[BaseException]()

    async def wait() -> None:
        began.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            loop.call(wait())
        except Closed as error:
            outcome.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    began.wait()
    loop.stop()
    caller.join()
    assert len(outcome) == 1


def test_a_loop_that_cannot_be_made_is_an_error_and_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> asyncio.AbstractEventLoop:
        raise OSError("too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", fail)
    with pytest.raises(OSError, match="too many open files"):
        BackgroundLoop("tannoy-test", Closed)
