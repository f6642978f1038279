"""Who reads nothing of an answer is given up; who reads slowly is not."""

import asyncio
from typing import cast

from tannoy.node.server.read_deadline import READ_TIMEOUT, ReadDeadline

from tests.support.clock import on_manual_time


class Writing:
    """A transport of which only the bytes in its buffer matter."""

    def __init__(self) -> None:
        self.left = 1000
        self.stalled = 0
        self.deadline = ReadDeadline(cast("asyncio.Transport", self), self._on_stalled)

    def get_write_buffer_size(self) -> int:
        return self.left

    def _on_stalled(self) -> None:
        self.stalled += 1


@on_manual_time
async def test_a_client_that_reads_nothing_is_given_up_once() -> None:
    writing = Writing()
    writing.deadline.start()
    await asyncio.sleep(READ_TIMEOUT * 0.9)
    assert writing.stalled == 0
    await asyncio.sleep(READ_TIMEOUT * 3)
    assert writing.stalled == 1


@on_manual_time
async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    writing = Writing()
    writing.deadline.start()
    for _ in range(10):
        await asyncio.sleep(READ_TIMEOUT * 0.9)
        writing.left -= 1
    assert writing.stalled == 0


@on_manual_time
async def test_a_client_that_has_read_enough_has_no_deadline() -> None:
    writing = Writing()
    writing.deadline.start()
    writing.deadline.stop()
    await asyncio.sleep(READ_TIMEOUT * 2)
    assert writing.stalled == 0
