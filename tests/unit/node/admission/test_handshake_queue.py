"""Handshakes in their turn: as many wait as are answered within a second, and others are told when to come back."""

import asyncio

from tannoy.node.admission.handshake import Rejected
from tannoy.node.admission.handshake_queue import (
    FIRST_PER_SECOND,
    RETRY_AFTER_MOST,
    WAIT_SECONDS,
    WAITING_LEAST,
    HandshakeQueue,
)
from tannoy.node.admission.loop_shares import SHARE_SECONDS
from tannoy.node.admission.refusals import Reason

from tests.support.clock import ManualClock, on_manual_time


class Storm:
    """A queue, and how many of its handshakes have been answered. Each takes a whole turn, of so many seconds."""

    def __init__(self, seconds: float = 2 * SHARE_SECONDS) -> None:
        self.clock = ManualClock()
        self.join_wait = 0.0
        self.queue = HandshakeQueue(self.clock, lambda: self.join_wait)
        self.answered = 0
        self._seconds = seconds

    def come(self, clients: int) -> list[Rejected]:
        """So many come at once; returns the refusals of those who are refused."""
        refused: list[Rejected] = []
        for _ in range(clients):
            if (rejected := self.queue.find_refusal()) is not None:
                refused.append(rejected)
            else:
                self.queue.run(object(), self.answer)
        return refused

    def answer(self) -> None:
        self.clock.advance(self._seconds)
        self.answered += 1


@on_manual_time
async def test_a_handshake_that_comes_alone_is_answered_at_once() -> None:
    storm = Storm()
    assert storm.come(1) == []
    assert storm.answered == 1


@on_manual_time
async def test_each_turn_of_the_loop_answers_a_share_of_those_who_come_at_once() -> None:
    storm = Storm()
    assert storm.come(20) == []
    assert storm.answered == 1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert storm.answered == 3


@on_manual_time
async def test_as_many_wait_as_are_answered_within_a_second_and_the_others_are_refused() -> None:
    storm = Storm()
    refused = storm.come(int(FIRST_PER_SECOND * WAIT_SECONDS) + 100)
    assert storm.queue.statistics().waiting == FIRST_PER_SECOND * WAIT_SECONDS + 1
    assert {(each.status, each.reason) for each in refused} == {(503, Reason.HANDSHAKES)}
    assert storm.queue.statistics().refused == len(refused) == 98


@on_manual_time
async def test_a_node_that_answers_slowly_lets_fewer_wait() -> None:
    storm = Storm(seconds=0.01)
    storm.come(500)
    for _ in range(500):
        await asyncio.sleep(0)
    assert storm.queue.statistics().per_second == 100
    storm.come(500)
    assert storm.queue.statistics().waiting == 101


@on_manual_time
async def test_a_node_that_has_been_very_slow_lets_some_wait_still() -> None:
    storm = Storm(seconds=0.5)
    storm.come(50)
    for _ in range(50):
        await asyncio.sleep(0)
    assert storm.come(WAITING_LEAST) == []


@on_manual_time
async def test_refused_clients_are_told_to_come_back_one_after_the_other_as_they_can_be_taken() -> None:
    storm = Storm()
    refused = storm.come(int(FIRST_PER_SECOND) * 4)
    after = [int(each.headers["Retry-After"]) for each in refused]
    assert after == sorted(after)
    assert {seconds: after.count(seconds) for seconds in after}.keys() == {1, 2, 3}
    assert after.count(2) == FIRST_PER_SECOND


@on_manual_time
async def test_nobody_is_told_to_come_back_later_than_after_some_seconds() -> None:
    storm = Storm()
    refused = storm.come(int(FIRST_PER_SECOND) * 2 * RETRY_AFTER_MOST)
    assert max(int(each.headers["Retry-After"]) for each in refused) == RETRY_AFTER_MOST


@on_manual_time
async def test_while_joins_wait_for_longer_than_a_second_handshakes_are_refused() -> None:
    storm = Storm()
    storm.join_wait = WAIT_SECONDS + 0.1
    assert len(storm.come(1)) == 1
    storm.join_wait = WAIT_SECONDS
    assert storm.come(1) == []


@on_manual_time
async def test_the_handshake_of_a_client_that_has_gone_is_not_answered() -> None:
    storm = Storm()
    storm.come(1)
    storm.queue.run("gone", storm.answer)
    storm.queue.remove("gone")
    await asyncio.sleep(0)
    assert (storm.answered, storm.queue.statistics().waiting) == (1, 0)
