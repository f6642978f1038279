"""Each session that ends, or gets no place, has one line of the log."""

from collections.abc import Generator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tannoy.fanout.scripts import LEASE_ACQUIRE
from tannoy.node.admission.sampled_lines import LINES_MAX
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.codes import CLOSE_RULES, CloseCode

from tests.support.client_driver import ClientDriver
from tests.support.clock import on_manual_time, turns
from tests.support.unit_node import UnitNode


@pytest.fixture
def lines() -> Generator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


def ends(lines: list[EventDict]) -> list[EventDict]:
    return [line for line in lines if "session" in line and line["log_level"] == "info"]


def line_of(event: str, code: int | None, reason: str, **others: object) -> EventDict:
    client = {"session": "s1", "user": "ada", "address": "192.0.2.1"}
    return {"event": event, "log_level": "info", **client, "code": code, "reason": reason, **others}


@on_manual_time
async def test_a_session_that_the_node_closes_has_one_line(lines: list[EventDict]) -> None:
    client = ClientDriver(UnitNode())
    client.connection.close(CloseCode.DRAINING)
    client.connection.on_closed(4001)
    assert ends(lines) == [line_of("closed a session", 4001, "node is draining")]


@on_manual_time
async def test_a_session_that_its_client_closes_has_one_line(lines: list[EventDict]) -> None:
    client = ClientDriver(UnitNode())
    client.connection.on_closed(1001)
    assert ends(lines) == [line_of("a session has ended", 1001, "closed by the client")]


@on_manual_time
async def test_a_session_whose_connection_is_lost_has_one_line(lines: list[EventDict]) -> None:
    client = ClientDriver(UnitNode())
    client.connection.on_closed()
    assert ends(lines) == [line_of("a session has ended", None, "the connection was lost")]


@on_manual_time
async def test_a_session_without_a_place_has_one_line_that_names_the_limit(lines: list[EventDict]) -> None:
    node = UnitNode()
    node.redis.reply_with(LEASE_ACQUIRE, [b"full", 10, 10])
    client = ClientDriver(node, Endpoint.AGENT)
    await turns()
    client.connection.on_closed()
    reason = CLOSE_RULES[CloseCode.TRY_AGAIN_LATER].reason
    assert ends(lines) == [line_of("refused a session", 1013, reason, owner="agent:42", count=10)]


@on_manual_time
async def test_very_many_ends_are_sampled(lines: list[EventDict]) -> None:
    node = UnitNode()
    for number in range(LINES_MAX + 5):
        ClientDriver(node, session_id=f"s{number}").connection.close(CloseCode.DRAINING)
    assert len(ends(lines)) == LINES_MAX


@on_manual_time
async def test_ends_are_counted_by_who_ended_the_session_and_with_which_code() -> None:
    node = UnitNode()
    log = node.context.session_log
    for number, end in enumerate((1001, 1001, 3999, None)):
        ClientDriver(node, session_id=f"s{number}").connection.on_closed(end)
    ClientDriver(node, session_id="s9").connection.close(CloseCode.DRAINING)
    counted = {(each.by, each.code): each.count for each in log.statistics()}
    assert counted == {("client", "1001"): 2, ("client", "other"): 1, ("loss", ""): 1, ("node", "4001"): 1}
