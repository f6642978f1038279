"""A connection sends ROLE once a second, and is given up when its server is not the master any more."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.redis.errors import ConnectionLost, RedisError
from tannoy.fanout.redis.role_watch import ROLE_PERIOD, UNANSWERED_MAX, RoleWatch, tells_role, why_not_master

from tests.support.clock import on_manual_time, turns

MASTER: list[Any] = [b"master", 0, []]
REPLICA: list[Any] = [b"slave", b"10.0.0.1", 6379, b"connected", 7]
REFUSED = RedisError("ERR unknown command 'ROLE'")
TELLING: list[tuple[Any, bool]] = [
    (MASTER, True),
    (REPLICA, True),
    ([b"sentinel", []], True),
    ([b"coordinator"], False),
    ([], False),
    (b"master", False),
    (None, False),
    (REFUSED, False),
]


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (MASTER, None),
        (REPLICA, "is a replica of 10.0.0.1:6379, and a node needs the master"),
        ([b"sentinel", [b"mymaster"]], "is a Sentinel: its URL begins with redis+sentinel://"),
        ([b"replica"], "is a replica, and a node needs the master"),
        ([b"slave", b"\xff", None], "is a replica of \ufffd:None, and a node needs the master"),
        (1, None),
    ],
)
def test_a_reply_of_a_replica_or_sentinel_says_why_it_is_no_master(role: Any, reason: str | None) -> None:
    assert why_not_master(role) == reason


@pytest.mark.parametrize(("reply", "tells"), TELLING)
def test_an_error_or_an_unknown_form_tells_no_role(reply: Any, tells: bool) -> None:
    assert tells_role(reply) is tells


class Server:
    """A server that answers when the test calls `answer`. Without `asks_role` it has refused ROLE before."""

    def __init__(self, *, asks_role: bool = True) -> None:
        self.commands: list[str] = []
        self.queries: list[asyncio.Future[Any]] = []
        self.is_reading = True
        self.moved: str | None = None
        self.given_up: list[str] = []
        self.watch = RoleWatch(
            query=self._query,
            asks_role=asks_role,
            is_reading=lambda: self.is_reading,
            why_moved=lambda: self.moved,
            give_up=self.given_up.append,
        )

    def _query(self, command: str) -> asyncio.Future[Any]:
        self.commands.append(command)
        self.queries.append(asyncio.get_running_loop().create_future())
        return self.queries[-1]

    async def answer(self, role: Any) -> None:
        if isinstance(role, Exception):
            self.queries[-1].set_exception(role)
        else:
            self.queries[-1].set_result(role)
        await turns()


async def periods(count: float) -> None:
    await asyncio.sleep(count * ROLE_PERIOD + 0.01)


@on_manual_time
async def test_a_master_is_asked_once_a_period() -> None:
    server = Server()
    assert server.queries == []
    for asked in (1, 2, 3):
        await periods(1)
        assert len(server.queries) == asked
        await server.answer(MASTER)
    assert server.given_up == []
    server.watch.stop()


@on_manual_time
async def test_a_server_that_has_become_a_replica_is_given_up() -> None:
    server = Server()
    await periods(1)
    await server.answer(REPLICA)
    assert server.given_up == ["is a replica of 10.0.0.1:6379, and a node needs the master"]
    await periods(5)
    assert len(server.given_up) == len(server.queries) == 1, "it is over with the first reason"


@pytest.mark.parametrize("reply", [REFUSED, RedisError("NOPERM no permissions"), [b"coordinator"], 1])
@on_manual_time
async def test_a_server_that_does_not_tell_its_role_is_sent_ping_instead(reply: Any) -> None:
    server = Server()
    await periods(1)
    await server.answer(reply)
    await periods(1)
    await server.answer(b"PONG")
    await periods(1)
    assert server.commands == ["ROLE", "PING", "PING"]
    assert server.given_up == []
    server.watch.stop()


@on_manual_time
async def test_a_server_that_has_refused_role_before_is_never_asked_for_it() -> None:
    server = Server(asks_role=False)
    for _ in range(3):
        await periods(1)
        await server.answer(b"PONG")
    assert server.commands == ["PING"] * 3
    server.watch.stop()


@pytest.mark.parametrize("asks_role", [True, False])
@pytest.mark.parametrize("error", [RedisError("MASTERDOWN Link with MASTER is down"), ConnectionLost("reset")], ids=str)
@on_manual_time
async def test_an_error_that_says_more_than_a_refusal_gives_the_server_up(error: Exception, asks_role: bool) -> None:
    server = Server(asks_role=asks_role)
    await periods(1)
    await server.answer(error)
    assert server.given_up == [str(error)]


@on_manual_time
async def test_a_server_without_role_that_does_not_answer_is_given_up() -> None:
    server = Server(asks_role=False)
    await periods(UNANSWERED_MAX + 1)
    assert server.given_up == ["does not answer any more"]


@on_manual_time
async def test_a_server_that_does_not_answer_is_asked_once_and_given_up() -> None:
    server = Server()
    await periods(UNANSWERED_MAX)
    assert server.given_up == []
    await periods(1)
    assert server.given_up == ["does not answer any more"]
    assert len(server.queries) == 1


@on_manual_time
async def test_an_answer_in_a_later_period_keeps_the_connection() -> None:
    # As for a process that was frozen itself: its timers run before it reads what has come.
    server = Server()
    await periods(UNANSWERED_MAX)
    await server.answer(MASTER)
    await periods(1)
    assert server.given_up == []
    assert len(server.queries) == 2
    server.watch.stop()


@on_manual_time
async def test_a_missing_answer_is_ignored_while_reading_is_paused() -> None:
    server = Server()
    await periods(1)
    server.is_reading = False
    await periods(10)
    assert server.given_up == []
    server.is_reading = True
    await periods(UNANSWERED_MAX - 1)
    assert server.given_up == []
    await periods(1)
    assert server.given_up == ["does not answer any more"]


@on_manual_time
async def test_a_server_that_sentinels_have_replaced_is_given_up_though_it_answers() -> None:
    server = Server()
    await periods(1)
    await server.answer(MASTER)
    server.moved = "the Sentinels name another one"
    await periods(1)
    assert server.given_up == ["the Sentinels name another one"]


@on_manual_time
async def test_an_answer_after_stop_is_ignored() -> None:
    server = Server()
    await periods(1)
    server.watch.stop()
    await server.answer(REPLICA)
    await periods(5)
    assert server.given_up == []
    assert len(server.queries) == 1
