"""TLS to Redis: the options of a URL, and the context that is made from them for each connection.

The context is made anew each time, so a certificate that was renewed on disk is used by the next connection. It is not
redis-py's `RedisSSLContext`: that one trusts the system's authorities besides those of `ssl_ca_certs`, so that with
`ssl_check_hostname=false` anybody with a public certificate could pass for Redis.
"""

import asyncio
import ssl
from dataclasses import dataclass, field

from .errors import CannotConnect


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """The files are paths; without `ca_certs` the authorities of the system are trusted."""

    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    password: str = field(default="", repr=False)
    """Of the key file."""
    verifies: bool = True
    """The server's certificate has to be signed by a trusted authority."""
    checks_host_name: bool = True
    """And it has to be one for the server's name."""

    def make_context(self) -> ssl.SSLContext:
        """Read the files. Raises CannotConnect, which names them."""
        try:
            context = ssl.create_default_context(cafile=self.ca_certs)
            if self.certfile is not None:
                # The password is passed even if it is empty: without it OpenSSL would prompt for one on the terminal.
                context.load_cert_chain(self.certfile, self.keyfile, self.password)
        except OSError as error:
            raise CannotConnect(f"{self._files} can't be read: {error.strerror or error}") from error
        context.check_hostname = self.verifies and self.checks_host_name
        if not self.verifies:
            context.verify_mode = ssl.CERT_NONE
        return context

    async def read_context(self) -> ssl.SSLContext:
        """`make_context` in a thread: files may be slow, and the system's authorities take 30 ms."""
        return await asyncio.to_thread(self.make_context)

    @property
    def _files(self) -> str:
        named = {"ssl_ca_certs": self.ca_certs, "ssl_certfile": self.certfile, "ssl_keyfile": self.keyfile}
        return ", ".join(f"{name}={path}" for name, path in named.items() if path is not None) or "the system's CAs"
