"""A TCP proxy that makes a server on this machine a distant one: every byte takes half of a round trip."""

import asyncio
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class DelayingProxy:
    """`async with DelayingProxy(port, round_trip=0.2) as proxy:`, then `proxy.port`. `round_trip` is in seconds.

    The kernel accepts a connection at once, so the round trip of that is added to the way of its first bytes.
    """

    def __init__(self, port: int, *, round_trip: float) -> None:
        self.port = 0
        self._to = port
        self._round_trip = round_trip
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._ends.add(writer)
        try:
            far, other = await asyncio.open_connection("127.0.0.1", self._to)
            self._ends.add(other)
            await asyncio.gather(
                self._carry(reader, other, connecting=self._round_trip),
                self._carry(far, writer, connecting=0.0),
            )
        except OSError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, connecting: float) -> None:
        """What was read is written half a round trip later, in its order; `connecting`: seconds more at first."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        ready_at = loop.time() + connecting

        async def read() -> None:
            try:
                while data := await reader.read(_CHUNK):
                    under_way.put_nowait((max(loop.time(), ready_at) + self._round_trip / 2, data))
            except OSError:
                pass  # reset, which is the end as well
            under_way.put_nowait((loop.time() + self._round_trip / 2, b""))

        reading = asyncio.create_task(read())
        data = b"first"
        while data:
            due, data = await under_way.get()
            await asyncio.sleep(due - loop.time())
            writer.write(data)
        writer.close()
        await reading
