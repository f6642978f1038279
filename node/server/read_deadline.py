"""The deadline of clients that do not read what they are answered over HTTP."""

import asyncio
from collections.abc import Callable

READ_TIMEOUT = 10.0
"""Seconds in which a client has to read some of an answer that is larger than the buffers on the way to it."""


class ReadDeadline:
    """While writing to a transport is paused; `on_stalled` is called when nothing was read for READ_TIMEOUT."""

    def __init__(self, transport: asyncio.Transport, on_stalled: Callable[[], None]) -> None:
        self._transport = transport
        self._on_stalled = on_stalled  # must not hold our owner: of cycles the collector makes long pauses
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The buffer of the transport is full."""
        self._left = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(READ_TIMEOUT, self._look)

    def stop(self) -> None:
        """There is room in it again, or the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() < self._left:
            self.start()
        else:
            self._timer = None
            self._on_stalled()
