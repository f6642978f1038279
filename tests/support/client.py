"""A client as a user would write it, with the `websockets` library, in either wire format."""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Self, cast

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.protocol_schema import check_answer, check_frame
from tests.support.waiting import PATIENCE

Frame = dict[str, Any]
PRESENCE_EVENTS = ("user_joined", "user_left", "presence")


class Client:
    """Frames that were not asked for yet wait in `inbox`. Each is checked against docs/protocol.schema.json."""

    def __init__(self, socket: ClientConnection, *, pongs: bool) -> None:
        self._socket = socket
        self._pongs = pongs
        self._ids = itertools.count(1)
        self.is_msgpack = socket.subprotocol == "tannoy.v1.msgpack"
        self.inbox: deque[Frame] = deque()
        self.welcome: Frame = {}

    @classmethod
    async def open(
        cls, url: str, *, wire: str | None = None, pongs: bool = True, max_size: int | None = None, **options: Any
    ) -> Self:
        """`wire`: json, msgpack, or None to offer nothing. `pongs`: answer the node's pings.

        `max_size`: bytes of the largest frame that it takes; None: any.
        """
        offered = None if wire is None else [Subprotocol(f"tannoy.v1.{wire}")]
        # The library reads no further while 16 frames wait for its user: it would miss the answers to its own pings.
        options = {"ping_interval": None, **options}
        socket = await connect(url, subprotocols=offered, max_size=max_size, compression=None, **options)
        return cls(socket, pongs=pongs)

    async def welcomed(self) -> Frame:
        self.welcome = await self.expect("welcome")
        return self.welcome

    @property
    def session_id(self) -> str:
        return cast(str, self.welcome["session_id"])

    # ---- saying

    async def send(self, type: str, **fields: Any) -> None:
        frame = {"type": type, **fields}
        await self._socket.send(msgpack.packb(frame) if self.is_msgpack else json.dumps(frame, ensure_ascii=False))

    async def send_raw(self, frame: str | bytes) -> None:
        await self._socket.send(frame)

    async def call(self, type: str, **fields: Any) -> Frame:
        """Send a command with an id; its answer, of whatever type."""
        id = next(self._ids)
        await self.send(type, id=id, **fields)
        answer = await self.answer_to(id)
        check_answer(type, answer)
        return answer

    async def answer_to(self, id: int) -> Frame:
        return await self.find(lambda frame: frame.get("id") == id, f"the answer to command {id}")

    async def ok(self, type: str, **fields: Any) -> Frame:
        """`call` a command that has to succeed."""
        answer = await self.call(type, **fields)
        assert answer["type"] == "ok", answer
        return answer

    # ---- frames of the node

    async def expect(self, type: str) -> Frame:
        """The next frame of this type; others stay in the inbox."""
        return await self.find(lambda frame: frame["type"] == type, f"a frame of type {type}")

    async def find(self, wanted: Callable[[Frame], bool], what: str) -> Frame:
        for frame in self.inbox:
            if wanted(frame):
                self.inbox.remove(frame)
                return frame
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    frame = await self._receive()
                    if wanted(frame):
                        return frame
                    self.inbox.append(frame)
        except TimeoutError:
            raise AssertionError(f"{what} did not come; the inbox holds {list(self.inbox)[:10]}") from None

    async def _receive(self) -> Frame:
        while True:
            data = await self._socket.recv()
            assert isinstance(data, bytes) is self.is_msgpack, data
            frame = cast(Frame, msgpack.unpackb(data) if isinstance(data, bytes) else json.loads(data))
            check_frame(frame)
            if frame["type"] != "ping" or not self._pongs:
                return frame
            await self.send("pong")

    async def contents(self, count: int) -> list[Any]:
        """The contents of the next `count` messages."""
        return [(await self.expect("message"))["content"] for _ in range(count)]

    async def received_since(self, *, with_presence: bool = False) -> list[Frame]:
        """All frames that were sent before a private message that this client now sends to itself.

        Presence events are left out, unless a test is about them. Needs the `welcome`.
        """
        fence = {"fence": next(self._ids)}
        await self.call("private", to=self.welcome["user_id"], content=fence)
        await self.find(
            lambda frame: frame["type"] == "private" and frame["content"] == fence, "its own private message"
        )
        left_out = () if with_presence else PRESENCE_EVENTS
        frames = [frame for frame in self.inbox if frame["type"] not in left_out and not _is_fence(frame)]
        self.inbox.clear()
        return frames

    async def close_code(self) -> int:
        """Read until the node has closed; frames on the way go to the inbox."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    self.inbox.append(await self._receive())
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def bye(self) -> tuple[Frame, int]:
        """The last frame before the close, and the close code."""
        code = await self.close_code()
        return self.inbox[-1], code

    def stop_reading(self) -> None:
        self._socket.transport.pause_reading()

    def read_on(self) -> None:
        self._socket.transport.resume_reading()

    def vanish(self) -> None:
        """Be gone without a closing handshake, as a process that was killed."""
        self._socket.transport.abort()

    async def close(self) -> None:
        await self._socket.close()


def _is_fence(frame: Frame) -> bool:
    """A private message of `received_since`, of this client or another one of its user."""
    return frame["type"] == "private" and isinstance(frame["content"], dict) and "fence" in frame["content"]
