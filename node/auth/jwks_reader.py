"""Reading the JSON Web Key Set of TANNOY_JWKS_URL: from an https address, or from a file.

Bounded in bytes and seconds, whatever the other side does. Redirects are not followed: the address of the keys is that
of the settings. Everything here blocks, and runs in a thread.
"""

import socket
import ssl
import stat
import threading
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from time import monotonic
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from ...client.errors import ClientError
from ...client.proxies import Proxy, describe_way, find_proxy
from ...shared.errors import StartError, TannoyError
from .hosts import is_loopback
from .keys import VerificationKey

JWKS_MAX_BYTES = 262_144
"""Of the set."""
FETCH_SECONDS = 5.0
"""From the connection's start to the last byte, not counting the resolution of the host's name."""
URL_PERIOD = 300.0
"""Seconds between two readings of an address."""
FILE_PERIOD = 10.0
"""Seconds between two looks at a file: it is read if it has changed."""

Keys = Mapping[str, VerificationKey]
ParseKeys = Callable[[bytes], Keys]
"""Raises ValueError, which says what is wrong."""


class KeysUnreadable(TannoyError):
    """The key set can't be read, or has no key that can be used. The message is for the operator."""


class KeyReader(Protocol):
    @property
    def period(self) -> float:
        """Seconds between two readings."""
        ...

    def __str__(self) -> str:
        """Where the keys are, without what may be secret."""
        ...

    def read(self) -> Keys | None:
        """The keys by their `kid`; None: they are those of the last reading. Raises KeysUnreadable."""
        ...


def create_reader(value: str, parse: ParseKeys) -> KeyReader:
    """The reader for a value of TANNOY_JWKS_URL. Raises StartError."""
    if "://" not in value:
        return FileReader(Path(value), parse)
    bad_address = StartError("TANNOY_JWKS_URL is no address: https://HOST[:PORT]/PATH, or the path of a file")
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname) and parts.port != 0 and all("!" <= c <= "~" for c in value)
    except ValueError:
        raise bad_address from None
    if not has_host or parts.scheme not in ("https", "http"):
        raise bad_address
    if parts.username is not None:  # not shown: a password may be in it
        raise StartError("TANNOY_JWKS_URL has a user or password, which is not sent: keys are public, leave it out")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise StartError(
            "TANNOY_JWKS_URL begins with http://: whoever is on the way could put other keys into the answer. "
            "Use https://; http:// is for 127.0.0.1, [::1] and localhost"
        )
    try:
        return UrlReader(parts, find_proxy(value), parse)
    except ClientError as error:
        raise StartError(f"TANNOY_JWKS_URL: {error}") from error


class FileReader:
    """Reads a file again if it was replaced or written since the last reading that succeeded."""

    period = FILE_PERIOD

    def __init__(self, path: Path, parse: ParseKeys) -> None:
        self._path = path
        self._parse = parse
        self._seen: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> Keys | None:
        try:
            found = self._path.stat()
            if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its writer
                raise KeysUnreadable("it is no file: give the path of a JWKS")
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            if version == self._seen:
                return None
            with self._path.open("rb") as file:
                keys = _parse_bounded(file.read(JWKS_MAX_BYTES + 1), self._parse)
        except OSError as error:
            raise KeysUnreadable(f"{error.strerror or error}") from error
        except ValueError as error:  # of a path with a zero byte
            raise KeysUnreadable("it is no path") from error
        self._seen = version
        return keys


@dataclass(frozen=True, slots=True)
class UrlReader:
    """Fetches the set each time. The system's authorities are trusted, or those of SSL_CERT_FILE."""

    address: SplitResult = field(repr=False)
    proxy: Proxy | None = field(repr=False)
    parse: ParseKeys
    period: float = URL_PERIOD
    seconds: float = FETCH_SECONDS

    def __str__(self) -> str:
        """Without the query."""
        return f"{self.address.scheme}://{self.address.netloc}{self.address.path}{describe_way(self.proxy)}"

    def read(self) -> Keys:
        ends_at = monotonic() + self.seconds
        is_late = threading.Event()
        try:
            with closing(self._new_connection()) as connection:
                connection.connect()
                with _shut_down_at(ends_at, connection.sock, is_late):
                    raw = self._ask(connection)
        except ssl.SSLCertVerificationError as error:
            raise KeysUnreadable(
                f"the certificate of {self.address.hostname} is not trusted: {error.verify_message}"
            ) from error
        except (OSError, HTTPException, ValueError) as error:  # ValueError: the host is no name
            if is_late.is_set() or isinstance(error, TimeoutError):
                raise self._late() from error
            raise KeysUnreadable(f"no answer: {_words_of(error)}") from error
        if is_late.is_set():
            raise self._late()
        return _parse_bounded(raw, self.parse)

    def _late(self) -> KeysUnreadable:
        return KeysUnreadable(f"no whole answer within {self.seconds:g} s")

    def _new_connection(self) -> HTTPConnection:
        host, port = self.address.hostname or "", self.address.port
        if self.address.scheme == "http":
            return HTTPConnection(host, port, timeout=self.seconds)
        context = ssl.create_default_context()
        if self.proxy is None:
            return HTTPSConnection(host, port, timeout=self.seconds, context=context)
        way = urlsplit(self.proxy.url)
        connection = HTTPSConnection(way.hostname or "", way.port or 80, timeout=self.seconds, context=context)
        connection.set_tunnel(host, port or 443, _authorization(way))
        return connection

    def _ask(self, connection: HTTPConnection) -> bytes:
        target = (self.address.path or "/") + (f"?{self.address.query}" if self.address.query else "")
        headers = {"Accept": "application/json", "User-Agent": "tannoy", "Connection": "close"}
        connection.request("GET", target, headers=headers)
        with closing(connection.getresponse()) as response:
            _check_status(response)
            return response.read(JWKS_MAX_BYTES + 1)


def _check_status(response: HTTPResponse) -> None:
    if 300 <= response.status < 400:
        raise KeysUnreadable(f"the answer is {response.status}, a redirect, which is not followed: set its target")
    if response.status != 200:
        raise KeysUnreadable(f"the answer is {response.status}")


def _parse_bounded(raw: bytes, parse: ParseKeys) -> Keys:
    if len(raw) > JWKS_MAX_BYTES:
        raise KeysUnreadable(f"it has more than {JWKS_MAX_BYTES} bytes")
    try:
        return parse(raw)
    except ValueError as error:
        raise KeysUnreadable(str(error)) from error


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    words = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(words.encode()).decode()}"}


def _words_of(error: OSError | HTTPException | ValueError) -> str:
    if isinstance(error, HTTPException):  # its message may hold what the other side has sent
        return f"what came is not HTTP ({type(error).__name__})"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


@contextmanager
def _shut_down_at(ends_at: float, connection: socket.socket, is_late: threading.Event) -> Generator[None]:
    """Shut a connection down at this time of `monotonic`: the timeout of a socket begins anew with each byte."""

    def shut_down() -> None:
        is_late.set()
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # that of SSLSocket would go on without TLS

    timer = threading.Timer(max(ends_at - monotonic(), 0), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
