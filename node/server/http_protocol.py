"""uvicorn's HTTP protocol class, with what a node promises beyond it.

- WebSocket handshakes go to the fast transport. Any other upgrade is ignored (RFC 9110 §7.8): the request is served.
- The head of a request is bounded in bytes, headers and time. Its body, and the reading of its answer, may not pause.
- Few requests wait for the answers to those before them.
- A target in absolute form is served (RFC 9112 §3.2.2).
- When the files of the process are used up, or there are too many connections, newcomers get an answer, and leave soon.
"""

import asyncio
from functools import partial
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr
from uvicorn.server import ServerState

from ...shared.errors import BadRequest
from ..admission.handshake import NO_FILES, NO_PLACE, Handshake, Rejected, record_rejected
from ..admission.heads import (
    HEAD_MAX_BYTES,
    HEAD_TOO_LARGE,
    HEADERS_MAX,
    NOT_ONE_HOST,
    TARGET_MAX_BYTES,
    TARGET_TOO_LONG,
    TOO_MANY_HEADERS,
)
from ..admission.refusals import Reason
from ..lifecycle.files import file_limit, is_reserved, reserve_of
from ..transports.base import CLOSE_DEADLINE, ConnectionFactory
from ..transports.uvicorn_websocket import TannoyWebSocketProtocol, encode_rejected, reset
from .paced_protocol import PacedHttpProtocol
from .read_deadline import ReadDeadline
from .request_heads import (
    HeadRejected,
    TooManyPipelined,
    check_handshake,
    encode_without_upgrade,
    has_one_host,
    list_tokens,
    new_parser,
    split_absolute,
)

HEAD_TIMEOUT = 5.0
"""Seconds in which the head of a request has to be complete, that of a handshake too, from the connect or its first
byte on."""
BODY_TIMEOUT = 30.0
"""Seconds in which more of a request's body has to arrive."""
PIPELINED_MAX = 8
"""Requests that wait for an answer behind another one. What a client sends behind them is ignored (RFC 9112 §9.6)."""
READ_FIRST = 0.001
"""Seconds after a deadline, in which what has come in time is read: a late event loop calls timers first."""


class TannoyHttpProtocol(PacedHttpProtocol):
    """One connection until it is a WebSocket. The node is in the state of the lifespan, under the key "node"."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._node = cast(ConnectionFactory, app_state.get("clients"))
        self._held = 0  # bytes since the parser last passed on a whole head or a part of a body
        self._has_passed_on = False
        self._has_refused = False
        self._is_in_body = False
        self._is_in_reserve = False
        self._has_place = False  # among those that the node may have
        self._timer: asyncio.TimerHandle | None = None

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.open_connection(cast("asyncio.Transport", transport))
        self._reading = ReadDeadline(self.transport, partial(reset, self.transport))
        if self._node.is_near_file_limit() and not self._has_file():
            self._refuse(NO_FILES)
            return
        self._has_place = self._node.other_connections.add(self, self.client[0] if self.client else None)
        if not self._has_place:
            self._refuse(NO_PLACE)
            return
        self._start_timer()

    def _has_file(self) -> bool:
        """Whether the file of this connection is none of the half of the reserve in which none is served."""
        number = self.transport.get_extra_info("socket").fileno()
        self._is_in_reserve = is_reserved(number)
        # Not even time for its request, or newcomers that send none would use up the reserve.
        return not self._is_in_reserve or number < (limit := file_limit()) - reserve_of(limit) // 2

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_in_body or self._has_refused or self.is_answering():
            self._read(data)
        elif (rejected := self.read_in_turn(data, self._read)) is not None:
            self._refuse(rejected)
        elif self.is_waiting:
            self._stop_timer()

    def _read(self, data: bytes) -> None:
        while data and not self._has_refused:
            room = HEAD_MAX_BYTES - self._held
            piece, data = (data, b"") if len(data) <= room else (data[:room], data[room:])
            self._has_passed_on = False
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as stop:
                self._held = 0
                data = self._handle_upgrade(piece[stop.args[0] :] + data)
                continue
            except httptools.HttpParserError as error:
                self._stop_at(error)
                return
            self._held = 0 if self._has_passed_on else self._held + len(piece)
            if self._held >= HEAD_MAX_BYTES:
                self._refuse(HEAD_TOO_LARGE)
            elif self._held == 0:
                self._stop_timer()
            elif self._timer is None and not self.is_answering():
                self._start_timer()
        self._time_body()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._reading.stop()
        self._node.other_connections.remove(self)
        super().connection_lost(exc)

    # ---- what the parser calls

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED_MAX:
            raise TooManyPipelined
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > TARGET_MAX_BYTES:
            raise HeadRejected(TARGET_TOO_LONG)

    def on_headers_complete(self) -> None:
        self._has_passed_on = True
        self._stop_timer()
        if len(self.headers) > HEADERS_MAX:  # counted here, and not each: there are no more than fit into a head
            raise HeadRejected(TOO_MANY_HEADERS)
        if not has_one_host(self.headers, self.parser.get_http_version()):
            raise HeadRejected(NOT_ONE_HOST)
        if (absolute := split_absolute(self.url)) is not None:
            authority, self.url = absolute
            self.headers[:] = [(b"host", authority), *(field for field in self.headers if field[0] != b"host")]
        if self.parser.should_upgrade():
            return  # the parser stops behind this head, for `_handle_upgrade`
        self._is_in_body = True
        # `on_message_begin` has made the scope: only later requests of the connection would have it from there.
        self.scope["server"] = self.server = self.server or get_local_addr(self.transport)
        super().on_headers_complete()
        if self._is_in_reserve:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._has_passed_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_passed_on = True
        self._is_in_body = False
        if not self.parser.should_upgrade():
            super().on_message_complete()
            if self.is_answering():
                self._node.other_connections.begin_answer(self)

    # ---- what a request and the answer to it call

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_in_body or not self.is_answering():
            self._node.other_connections.end_answer(self)
        self._time_body()

    def close_waiting(self) -> None:
        self._has_refused = True
        self._stop_timer()
        self.transport.close()

    # ---- upgrades

    def _handle_upgrade(self, rest: bytes) -> bytes:
        """Pass a WebSocket handshake on; parse any other request again, without its upgrade. Returns what is to parse.

        `rest` is what follows the head.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(Rejected(501, BadRequest("this is no proxy: there is no CONNECT"), Reason.REQUEST))
            return b""
        version = self.parser.get_http_version()
        is_get = method == b"GET" and version == "1.1" and not self.is_answering()
        if is_get and b"websocket" in list_tokens(self.headers, b"upgrade"):
            self._begin_handshake(rest)
            return b""
        head = encode_without_upgrade(method, self.url, version, self.headers)
        self.parser = new_parser(self)
        self.parser.feed_data(head)
        return rest

    def _begin_handshake(self, rest: bytes) -> None:
        handshake = self.read_handshake()
        rejected = NO_FILES if self._is_in_reserve else self._node.find_early_refusal(handshake)
        if rejected is not None:
            self.open_later(rejected.delay, partial(self._open_websocket, handshake, b"", rejected))
        elif (rejected := check_handshake(self.headers, rest)) is not None:
            self._refuse(rejected)
        else:
            self.open_in_turn(partial(self._open_websocket, handshake, rest))

    def _open_websocket(self, handshake: Handshake, rest: bytes, rejected: Rejected | None = None) -> None:
        socket = TannoyWebSocketProtocol(self._node)
        self.hand_over(socket)
        socket.open(handshake, rejected)
        if rest:
            socket.data_received(rest)

    # ---- refusals

    def _stop_at(self, error: httptools.HttpParserError) -> None:
        match error.__context__:
            case TooManyPipelined():
                self._close_behind_pipeline()
            case HeadRejected(rejected=rejected):
                self._refuse(rejected)
            case _:
                self._refuse(Rejected(400, BadRequest(f"this is not HTTP/1.1: {error}"), Reason.REQUEST))

    def _refuse(self, rejected: Rejected) -> None:
        """Answer with a problem document, and ignore what else the peer sends.

        Only the sending half is closed, for CLOSE_DEADLINE: a full close would answer what the peer still sends with a
        reset, on which its system may discard the answer.
        """
        self._has_refused = True
        self._stop_timer()
        record_rejected(self._node.refusals, rejected, self.client_host())
        has_begun_answer = self._is_in_body  # or has ended it already
        if self.is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            has_begun_answer = self.cycle.response_started or bool(self.pipeline)
        if has_begun_answer:
            self.transport.close()
            return
        self.transport.write(encode_rejected(rejected))
        if self._is_in_reserve or not self._has_place:
            self.transport.close()
        else:
            self.flow.resume_reading()
            self.transport.write_eof()
            self._timer = self.loop.call_later(CLOSE_DEADLINE, self.transport.abort)

    def _close_behind_pipeline(self) -> None:
        """Answer the requests that wait, the last one with `Connection: close`, and ignore what else the peer sends."""
        self._has_refused = True
        self._stop_timer()
        self.cycle.keep_alive = False

    def _time_body(self) -> None:
        """Bound the wait for more of a body; behind an unanswered request the node does not read, nor wait for it."""
        if self._is_in_body and not self.pipeline and not self._has_refused:
            self._stop_timer()
            self._timer = self.loop.call_later(BODY_TIMEOUT, self._on_timeout)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEAD_TIMEOUT, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = self.loop.call_later(READ_FIRST, self._end_late)

    def _end_late(self) -> None:
        self._timer = None
        if self._held or self._is_in_body:
            part = "body" if self._is_in_body else "head"
            bad = BadRequest(f"the {part} of the request did not arrive in time")
            self._refuse(Rejected(408, bad, Reason.REQUEST))
        else:
            self.transport.close()
