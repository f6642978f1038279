"""A TCP socket that knows when bytes arrived, by the time stamps of the kernel.

With SO_TIMESTAMPNS `recvmsg` returns when the last byte of its data arrived. On loopback that is during the `send` of
the sender (measured: 20,000 of 20,000 sends were readable when `send` returned; 5,000 of 5,000 stamps lay between the
sender's clock before and after it), so events of many sockets have their true order, not the order of polling.
asyncio's transports do not expose the stamps, so sockets are read with `add_reader`.
"""

import asyncio
import socket
import struct
import weakref
from typing import Protocol

from tests.chaos.harness.history import History

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
READ_AT_ONCE = 65_536
SMALL_SEGMENT = 536
SMALL_BUFFER = 4096
_ANCILLARY = socket.CMSG_SPACE(16)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class StampClock:
    """The clock of a run's history, for the stamps of its sockets."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.unstamped = 0
        """Reads without a stamp of the kernel, ends of stream excepted."""
        # The kernel stamps only while some socket requests it, and starts with a delay: this socket always does.
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        weakref.finalize(self, self._keeper.close)  # also of a run whose nodes did not start

    def read_stamp(self, ancillary: list[tuple[int, int, bytes]]) -> float:
        """When data arrived; without a stamp, the present time."""
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", data)
                at: float = (seconds * 10**9 + nanoseconds - self.history.base_ns) / 1e9
                return at
        self.unstamped += 1
        return self.history.now()

    def close(self) -> None:
        self._keeper.close()


class SocketListener(Protocol):
    def on_connected(self) -> None: ...

    def on_data(self, at: float, data: bytes) -> None:
        """`at`: when its last byte arrived."""
        ...

    def on_lost(self) -> None:
        """The connection was refused, reset or ended by the peer, or half a frame was sent. Not called by `close`."""
        ...


class StampedSocket:
    """Connects to a port of this machine at once.

    `small_buffers`: let the buffers between node and client be full after about 50 kB instead of the 3 MB that are
    usual on loopback.
    """

    def __init__(self, clock: StampClock, listener: SocketListener, *, port: int, small_buffers: bool = False) -> None:
        self._clock = clock
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._is_connected = False
        self._is_closed = False
        self._reading_paused = False
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        # Our end may get the port of a node that is down, which has to be able to listen there again.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if small_buffers:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            # The send buffer of the other end is a multiple of the segment size.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
        self._socket.connect_ex(("127.0.0.1", port))
        self._loop.add_writer(self._socket, self._connected)

    def send(self, data: bytes) -> None:
        """Nothing is sent before it is connected, or after it is closed."""
        if not self._is_connected or self._is_closed:
            return
        try:
            is_whole = self._socket.send(data) == len(data)
        except OSError:
            return  # the reader will see that it is closed; or the node reads nothing at the moment
        if not is_whole:
            self._listener.on_lost()  # half a frame was sent: nothing can follow it

    def pause_reading(self) -> None:
        """Read nothing: buffers here, on the way and then at the node fill up."""
        if not self._reading_paused:
            self._reading_paused = True
            if self._is_connected and not self._is_closed:
                self._loop.remove_reader(self._socket)

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if self._is_connected and not self._is_closed:
                self._loop.add_reader(self._socket, self._readable)

    def read_arrived(self) -> None:
        """Read what the kernel has already, now and not in the next turn of the loop."""
        while self._is_connected and not self._is_closed and not self._reading_paused and self._readable():
            pass

    def close(self, *, reset: bool = False) -> None:
        """With `reset`, by RST instead of FIN."""
        if not self._is_closed:
            self._is_closed = True
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _connected(self) -> None:
        self._loop.remove_writer(self._socket)
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or self._is_its_own_peer():
            self._listener.on_lost()
            return
        self._is_connected = True
        if not self._reading_paused:
            self._loop.add_reader(self._socket, self._readable)
        self._listener.on_connected()

    def _is_its_own_peer(self) -> bool:
        """If no process listens, TCP connects to itself if it happens to choose that port for its own end."""
        return bool(self._socket.getsockname() == self._socket.getpeername())

    def _readable(self) -> bool:
        """Returns whether there was something."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_AT_ONCE, _ANCILLARY)
        except BlockingIOError:
            return False
        except OSError:
            self._listener.on_lost()
            return False
        if data:
            self._listener.on_data(self._clock.read_stamp(ancillary), data)
        else:
            self._listener.on_lost()
        return bool(data)
