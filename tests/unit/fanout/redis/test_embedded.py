"""The embedded Valkey: a real server for the length of a block, also where several start at once."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tannoy.fanout.redis.embedded import START_TIMEOUT, EmbeddedValkey

from tests.support.ports import port_of


def _answers(port: int) -> bool:
    """Whether a Valkey listens on this port of loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_TIMEOUT) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
    except ConnectionRefusedError:
        return False


def test_a_server_runs_for_the_length_of_the_block() -> None:
    with EmbeddedValkey() as valkey:
        port = port_of(valkey.url)
        assert _answers(port)

    assert not _answers(port)


def test_several_that_start_at_once_have_ports_of_their_own() -> None:
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        valkeys = [EmbeddedValkey() for _ in range(3)]
        for valkey in valkeys:
            stack.callback(valkey.__exit__, None, None, None)
        ports = {port_of(valkey.url) for valkey in threads.map(EmbeddedValkey.__enter__, valkeys)}

        assert len(ports) == 3
        assert all(map(_answers, ports))
