"""A connection sends ROLE once a second, and is given up when its server is not the master any more."""

import asyncio
from typing import Any

import pytest
from tannoy.fanout.redis.role_watch import ROLE_PERIOD, UNANSWERED_MAX, RoleWatch, why_not_master

from tests.support.clock import on_manual_time, turns

MASTER: list[Any] = [b"master", 0, []]
REPLICA: list[Any] = [b"slave", b"10.0.0.1", 6379, b"connected", 7]


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (MASTER, None),
        (REPLICA, "is a replica of 10.0.0.1:6379, and a node needs the master"),
        ([b"sentinel", [b"mymaster"]], "is a Sentinel: its URL begins with redis+sentinel://"),
        (1, "answers ROLE with something else: 1"),
    ],
)
def test_only_the_reply_of_a_master_is_accepted(role: Any, reason: str | None) -> None:
    assert why_not_master(role) == reason


class Server:
    """A server that answers ROLE when the test calls `answer`."""

    def __init__(self) -> None:
        self.queries: list[asyncio.Future[Any]] = []
        self.is_reading = True
        self.moved: str | None = None
        self.given_up: list[str] = []
        self.watch = RoleWatch(
            query_role=self._query,
            is_reading=lambda: self.is_reading,
            why_moved=lambda: self.moved,
            give_up=self.given_up.append,
        )

    def _query(self) -> asyncio.Future[Any]:
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


@on_manual_time
async def test_a_server_that_refuses_role_is_given_up() -> None:
    server = Server()
    await periods(1)
    await server.answer(RuntimeError("NOPERM no permissions to run the 'role' command"))
    assert server.given_up == ["NOPERM no permissions to run the 'role' command"]


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
