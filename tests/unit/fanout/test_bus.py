"""What is warned of at start, where Redis is a cluster of several servers."""

from collections.abc import Sequence

import pytest
from tannoy.fanout import bus as bus_module
from tannoy.fanout.backend import SingleServer
from tannoy.node.node import Node
from tannoy.shared.settings import load_settings

from tests.support.clock import on_manual_time
from tests.support.logged_events import logged_events


@on_manual_time
async def test_what_holds_for_several_servers_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def servers(self: SingleServer, answer_within: float) -> Sequence[tuple[str, Sequence[int]]]:
        return [("one:1", (0,)), ("two:2", (1,))]

    async def check_server(server: str, probe: object, *, timeout: float) -> list[str]:
        return ["it evicts keys", *(["it is slow"] if server == "two:2" else [])]

    monkeypatch.setattr(SingleServer, "servers", servers)
    monkeypatch.setattr(bus_module, "check_server", check_server)
    bus = Node(load_settings()).bus

    await bus.check()

    assert [(line["event"], line["redis"]) for line in logged_events(caplog)] == [
        ("it evicts keys", "one:1, two:2"),
        ("it is slow", "two:2"),
    ]
    assert list(bus.warnings) == ["it evicts keys", "it is slow"]
