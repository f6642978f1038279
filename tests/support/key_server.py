"""A real HTTP server on loopback that publishes a JSON Web Key Set, as well or as badly as a test wants."""

import json
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Literal, Self

from tests.support.certificates import Certificates
from tests.support.forged_tokens import jwk_of

Drip = Literal["nothing", "head", "body"]
DRIP_SECONDS = 0.02
"""Between two bytes: far less than any timeout of a single read."""


def key_set(**keys: Any) -> bytes:
    """The public keys of these private ones as a JWKS, each with its name as `kid`."""
    return json.dumps({"keys": [jwk_of(key, kid=name) for name, key in keys.items()]}).encode()


class KeyServer:
    """Answers each request with `status` and `body`. `raw`: what is sent instead of an answer.

    `drips`: the part of the answer that has no end, a byte now and then; "nothing": no byte ever comes.
    """

    def __init__(self, body: bytes = b"", *, certificates: Certificates | None = None) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = body
        self.raw: bytes | None = None
        self.drips: Drip | None = None
        self.requests: list[str] = []
        """The request line of each, without its version."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.is_stopping = Event()
        self.port: int = self._server.server_address[1]
        self.scheme = "http"
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificates.server)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/jwks.json"

    @contextmanager
    def running(self) -> Generator[Self]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.is_stopping.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()  # it waits for the threads of requests


def _handler_of(server: KeyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append(f"{self.command} {self.path}")
            self.close_connection = True
            try:
                self._answer()
            except OSError:
                pass  # the client has closed the connection

        do_CONNECT = do_GET

        def _answer(self) -> None:
            if server.raw is not None:
                self.wfile.write(server.raw)
                return
            if server.drips == "nothing":
                server.is_stopping.wait()
            if server.drips == "head":
                self._drip(b"HTTP/1.1 200 OK\r\nX-Filling: ")
            self.send_response(server.status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if server.drips == "body":
                self._drip(b'{"keys": ')
            self.wfile.write(server.body)

        def _drip(self, beginning: bytes) -> None:
            self.wfile.write(beginning)
            while not server.is_stopping.wait(DRIP_SECONDS):
                self.wfile.write(b" ")

        def log_message(self, format: str, *args: Any) -> None: ...

    return Handler
