"""Names with several addresses, and an address that swallows what is sent to it: what a test machine's DNS lacks."""

import asyncio
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest


def resolve_as(monkeypatch: pytest.MonkeyPatch, name: str, *hosts: str) -> None:
    """A stand-in for a resolver: in the running event loop `name` has these addresses, in this order."""
    loop = asyncio.get_running_loop()
    ask_the_system = loop.getaddrinfo

    async def getaddrinfo(host: str, port: int, **hints: Any) -> Sequence[object]:
        if host != name:
            return await ask_the_system(host, port, **hints)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


@contextmanager
def swallows_packets(host: str, port: int) -> Generator[None]:
    """A real socket on which Linux answers no SYN any more: it listens, and its queue of connections is full."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        waiting: list[socket.socket] = []
        try:
            while True:
                client = socket.socket()
                waiting.append(client)
                client.settimeout(0.2)
                client.connect((host, port))
        except TimeoutError:
            yield
        finally:
            for client in waiting:
                client.close()
