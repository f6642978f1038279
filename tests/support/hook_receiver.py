"""A back end that the HTTP hooks speak to: a real HTTP server on loopback, in a thread or in a process of its own.

`python -m tests.support.hook_receiver PORT FILE` appends each request to the file before it answers 200.
"""

import hmac
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO, Any, NamedTuple

from tests.support import fork_server, processes
from tests.support.cluster import environment
from tests.support.ports import free_port

SECRET = "a secret of the tests, 32 bytes.."
SETTINGS = {"HOOK_SECRET": SECRET, "HOOK_NETWORKS": "127.0.0.1"}
"""Of nodes with such a target, beside its URL."""


class Request(NamedTuple):
    path: str
    hook: str
    signature: str
    body: str

    @property
    def is_signed(self) -> bool:
        """As docs/hooks.md tells a back end to look."""
        at, _, digest = self.signature.removeprefix("t=").partition(",v1=")
        wanted = hmac.new(SECRET.encode(), f"{at}.{self.body}".encode(), sha256).hexdigest()
        return hmac.compare_digest(digest, wanted) and abs(time.time() - int(at)) < 300

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    status: int = 200
    body: object = None
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed


GOOD = Answer()


class HookReceiver:
    """In a thread. `answer` may be replaced at any time; it is called with each request, and may block."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda request: GOOD
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self.requests.append, self._decide))
        self.port: int = self._server.server_address[1]

    def _decide(self, request: Request) -> Answer:
        return self.answer(request)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    @contextmanager
    def running(self) -> Generator["HookReceiver"]:
        self._server.daemon_threads = True
        self._server.block_on_close = False
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Those that it was sent, each id once, in order."""
        return events_of(self.requests, *types)


def events_of(requests: list[Request], *types: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for request in requests:
        for event in request.json["events"] if request.hook == "events" else ():
            found.setdefault(event["id"], event)
    return [event for event in found.values() if not types or event["type"] in types]


def _handler_of(record: Callable[[Request], None], decide: Callable[[Request], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            request = Request(self.path, self.headers["Tannoy-Hook"], self.headers["Tannoy-Signature"], body)
            record(request)
            answer = decide(request)
            said = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            with suppress(BrokenPipeError):  # a node that was killed, or does not wait any longer
                self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None: ...

    return Handler


class HookReceiverProcess:
    """In a process, which a test may kill, and start again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._file = folder / "requests.jsonl"
        self._process: processes.Process | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def start(self) -> None:
        command = ["tests.support.hook_receiver", str(self.port), str(self._file)]
        self._process = fork_server.server.start(command, env=environment({}), output=self._log)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            processes.end_group(self._process)

    def requests(self) -> list[Request]:
        if not self._file.exists():
            return []
        whole = [line for line in self._file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [Request(*json.loads(line)) for line in whole]

    def close(self) -> None:
        self.kill()
        self._log.close()


def main() -> None:
    port, file = int(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def record(request: Request) -> None:
        os.write(file, json.dumps(request).encode() + b"\n")

    ThreadingHTTPServer(("127.0.0.1", port), _handler_of(record, lambda request: GOOD)).serve_forever()


if __name__ == "__main__":
    main()
