"""What a caller makes of an answer of Redis."""

import asyncio
import gc
import weakref
from collections.abc import Generator
from typing import Any

import pytest
from tannoy.fanout.redis.answers import read_later
from tannoy.shared.errors import Unavailable


@pytest.fixture
def _without_collector() -> Generator[None]:
    gc.disable()
    yield
    gc.enable()


def _refuse(reply: Any) -> None:
    raise Unavailable(f"{reply} can't be read")


@pytest.mark.usefixtures("_without_collector")
async def test_a_refusal_is_freed_as_soon_as_it_is_handled() -> None:
    """What waits for the garbage collector shows as memory of idle sessions."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    read = read_later(answer, _refuse)
    answer.set_result("this")

    await asyncio.wait((read,))
    refusal = weakref.ref(read.exception())
    del answer, read
    await asyncio.sleep(0)

    assert refusal() is None
